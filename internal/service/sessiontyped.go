package service

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/wire"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// serveTyped is serve for a message of a typed service.
func (e *entry) serveTyped() error {
	s, in, m := e.session.services, &e.in, &e.head
	in.Typed.Service, in.Method, _ = strings.Cut(strings.TrimPrefix(m.Path, "/"), "/")
	if version := in.Target.Version; version != "" {
		var err error
		if in.Version, err = rpc.ParseVersion(version); err != nil {
			return statusOf(about(in.Method, invalid(err.Error())), nil)
		}
		in.Target.Version, in.HasVersion = "", true
	}
	call, err := s.intake.OpenTyped(e.ctx, &in.Message, e.decode)
	if err != nil {
		return in.typedStatus(err)
	}
	in.InPlace = e
	reply, err := call.Do(e.ctx, call.Content)
	if err != nil {
		return in.typedStatus(err)
	}
	if _, err := in.sendable(call, reply); err != nil {
		return err
	}
	message, ok := reply.(proto.Message)
	if !ok {
		return status.Error(codes.Internal, "session: the reply is not a protobuf message")
	}
	e.finish(&wire.SessionResult{Outcome: wire.Replied}, message)
	return nil
}

// decode decodes the request of a typed message.
func (e *entry) decode(into any) error {
	message, ok := into.(proto.Message)
	if !ok {
		return status.Error(codes.Internal, "session: the request is not a protobuf message")
	}
	request := e.head.Request
	ended, err := inbound.ClaimProtobuf(e.ctx, e.on.ctx, message.ProtoReflect().Descriptor(), request)
	if err != nil {
		return statusOf(err, nil)
	}
	e.holds(ended)
	if err := proto.Unmarshal(request, message); err != nil {
		return status.Error(codes.Internal, "grpc: failed to unmarshal the received message: "+err.Error())
	}
	return nil
}
