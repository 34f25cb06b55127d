package service

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// read takes a message of the contract in. An error means that it cannot be told which server is
// meant; it is a status.
func (in *incoming) read(ctx context.Context, m *pb.Message) error {
	if err := in.readMessage(ctx, m); err != nil {
		return statusOf(about(m.GetMethod(), err), nil)
	}
	return nil
}

func (in *incoming) readMessage(ctx context.Context, m *pb.Message) error {
	if m == nil {
		return invalid("`message` is required: it names the receiver and the method")
	}
	if name := presentAndEmpty(m.GetTarget()); name != "" {
		return invalid(fmt.Sprintf("`target.%s` is present and empty: leave it out", name))
	}
	in.from(ctx, m.GetMetadata())
	in.Method, in.ID, in.InstanceID, in.OrderKey = m.GetMethod(), m.GetId(), m.GetInstanceId(), m.GetOrderKey()
	t := m.GetTarget()
	in.Target = rpc.Target{
		Exchange: t.GetExchange(), Topic: t.GetTopic(), Namespace: t.GetNamespace(),
		Version: t.GetVersion(), Server: t.GetServer(), Fanout: t.GetFanout(),
	}
	err := in.agree(ctx)
	if err != nil {
		return err
	}
	if in.Missed, err = length("missed", m.GetMissed()); err != nil {
		return err
	}
	if in.Remaining, err = length("remaining", m.GetRemaining()); err != nil {
		return err
	}
	if c := m.GetCaller(); c != nil {
		encoded, _ := proto.Marshal(c) // it was decoded
		in.Behalf = string(encoded)
	}
	in.encoded, in.Content = m, in
	return nil
}

// agree returns an error if the headers of the RPC contradict the message.
func (in *incoming) agree(ctx context.Context) error {
	err := header.Contradiction(ctx, &header.Request{
		Exchange: in.Target.Exchange, Topic: in.Target.Topic, Server: in.Target.Server,
		Instance: in.InstanceID, ID: in.ID, OrderKey: in.OrderKey,
	}, in.Target.Version)
	if err != nil {
		return invalid(err.Error())
	}
	return nil
}

// ReadContent implements [intake.Content].
func (in *incoming) ReadContent() (kwargs, context string, err error) {
	m := in.encoded
	in.encoded = nil // a cast outlives its RPC
	if kwargs, err = payload.Text(m.GetKwargs(), rpc.BadArguments); err != nil {
		return "", "", partOf("kwargs", err)
	}
	if context, err = payload.Text(m.GetContext(), rpc.BadArguments); err != nil {
		return kwargs, "", partOf("context", err)
	}
	return kwargs, context, nil
}

// from says which RPC carries the message, and which metadata are within the message.
func (in *incoming) from(ctx context.Context, entries map[string]string) {
	in.fromCaller(ctx, entries, callerOf(ctx))
}

// fromCaller is from for a caller whose name is known.
func (in *incoming) fromCaller(ctx context.Context, entries map[string]string, caller string) {
	in.origin = originOf(ctx, entries)
	in.Origin, in.Caller, in.From = in, caller, in.sender.Account()
}

// presentAndEmpty returns the name of the first field that is given and empty, "" if there is none.
func presentAndEmpty(t *pb.Target) string {
	if t == nil {
		return ""
	}
	for _, f := range [...]struct {
		name  string
		value *string
	}{
		{"exchange", t.Exchange}, {"topic", t.Topic}, {"namespace", t.Namespace}, {"version", t.Version}, {"server", t.Server}, //nolint:protogetter // Presence counts.
	} {
		if f.value != nil && *f.value == "" {
			return f.name
		}
	}
	return ""
}

// length returns the length of a time, nil if it is not given.
func length(field string, d *durationpb.Duration) (*time.Duration, error) {
	if d == nil {
		return nil, nil
	}
	if !d.IsValid() {
		return nil, invalid(fmt.Sprintf("`%s` is not a valid duration: correct it, or leave it out", field))
	}
	given := d.AsDuration()
	return &given, nil
}

func invalid(message string) error {
	return &rpc.Error{Kind: rpc.InvalidTarget, Message: message, NotStarted: true}
}

// encode returns JSON text in the encoding of the keyword arguments, so that a client that writes
// values reads values.
func (s *Services) encode(text string, kwargs *pb.Payload) (*pb.Payload, error) {
	if _, json := kwargs.GetEncoding().(*pb.Payload_Json); json {
		return payload.JSON(text), nil
	}
	value, err := payload.ToValue(text, rpc.BadResult)
	if err != nil {
		return nil, err
	}
	if n := proto.Size(value); n > s.intake.MaxSize() { // a list of digits grows fivefold
		return nil, s.intake.ResultTooLarge(n, " as a protobuf value")
	}
	return &pb.Payload{Encoding: &pb.Payload_Value{Value: value}}, nil
}
