package service

import (
	"context"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Call runs a message and returns its last item.
func (s *Services) Call(ctx context.Context, r *pb.CallRequest) (*pb.CallResponse, error) {
	response, err := s.call(ctx, r.GetMessage(), false)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// call runs a message. The error is a status.
func (s *Services) call(ctx context.Context, m *pb.Message, monitored bool) (*pb.CallResponse, error) {
	in, err := read(ctx, m)
	if err != nil {
		return nil, statusOf(about(m.GetMethod(), err), nil)
	}
	in.Monitored = monitored
	last, err := s.intake.Call(ctx, &in.Message)
	if err != nil {
		return nil, in.status(err)
	}
	result, err := s.encode(last, m.GetKwargs())
	if err != nil {
		return nil, in.status(in.Sign(err))
	}
	return &pb.CallResponse{Result: result}, nil
}

// status returns the error of the message as a status.
func (in *incoming) status(err error) error { return statusOf(err, in.Implemented()) }

// Cast accepts a message.
func (s *Services) Cast(ctx context.Context, r *pb.CastRequest) (*pb.CastResponse, error) {
	in, err := read(ctx, r.GetMessage())
	if err != nil {
		return nil, statusOf(about(r.GetMessage().GetMethod(), err), nil)
	}
	if err := s.intake.Cast(ctx, &in.Message); err != nil {
		return nil, in.status(err)
	}
	return &pb.CastResponse{}, nil
}

// Multicall runs a message and sends its items as they come. A Send waits while the client does not
// read, which holds the method back.
func (s *Services) Multicall(r *pb.MulticallRequest, stream grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	ctx, m := stream.Context(), r.GetMessage()
	in, err := read(ctx, m)
	if err != nil {
		return statusOf(about(m.GetMethod(), err), nil)
	}
	if err := s.intake.Find(&in.Message); err != nil {
		return in.status(err)
	}
	markTaken(stream)
	err = s.intake.Multicall(ctx, &in.Message, func(item string) error {
		encoded, err := s.encode(item, m.GetKwargs())
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.MulticallResponse{Item: encoded}); err != nil {
			return rpcstatus.Decode(err, true)
		}
		return nil
	})
	if err != nil {
		return in.status(err)
	}
	return nil
}
