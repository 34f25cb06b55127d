package service

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Call runs a message and returns its last item.
func (s *Services) Call(ctx context.Context, r *pb.CallRequest) (*pb.CallResponse, error) {
	response, err := s.call(ctx, r.GetMessage(), 0)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// call runs a message, with heartbeats unless they are every 0. The error is a status.
func (s *Services) call(ctx context.Context, m *pb.Message, heartbeat time.Duration) (*pb.CallResponse, error) {
	in := &incoming{}
	if err := in.read(ctx, m); err != nil {
		return nil, err
	}
	in.Monitored, in.Heartbeat = heartbeat > 0, heartbeat
	last, err := s.run(ctx, in)
	if err != nil {
		return nil, err
	}
	return s.respond(in, last, m.GetKwargs())
}

// run runs a message and returns its last item. The error is a status.
func (s *Services) run(ctx context.Context, in *incoming) (last string, err error) {
	if last, err = s.intake.Call(ctx, &in.Message); err != nil {
		return "", in.status(err)
	}
	return last, nil
}

// respond encodes a result. The error is a status.
func (s *Services) respond(in *incoming, result string, kwargs *pb.Payload) (*pb.CallResponse, error) {
	encoded, err := s.encode(result, kwargs)
	if err != nil {
		return nil, in.status(in.Sign(err))
	}
	return &pb.CallResponse{Result: encoded}, nil
}

// status returns the error of the message as a status.
func (in *incoming) status(err error) error {
	if in.IsForwarded() {
		err = rpcstatus.Relayed(err)
	}
	return statusOf(err, in.Implemented())
}

// Cast accepts a message.
func (s *Services) Cast(ctx context.Context, r *pb.CastRequest) (*pb.CastResponse, error) {
	in := &incoming{}
	if err := in.read(ctx, r.GetMessage()); err != nil {
		return nil, err
	}
	return s.accept(ctx, in)
}

// accept accepts a message. The error is a status.
func (s *Services) accept(ctx context.Context, in *incoming) (*pb.CastResponse, error) {
	if err := s.intake.Cast(ctx, &in.Message); err != nil {
		return nil, in.status(err)
	}
	return &pb.CastResponse{}, nil
}

// Multicall runs a message and sends its items as they come. A Send waits while the client does not
// read, which holds the method back.
func (s *Services) Multicall(r *pb.MulticallRequest, stream grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	ctx, m := stream.Context(), r.GetMessage()
	in := &incoming{}
	if err := in.read(ctx, m); err != nil {
		return err
	}
	if err := s.intake.Find(ctx, &in.Message, rpc.DeliveryMulticall); err != nil {
		return in.status(err)
	}
	markTaken(stream)
	_, usual := m.GetKwargs().GetEncoding().(*pb.Payload_Json)
	usual = usual && !s.watched
	var response wire.Response // used again for each item: gRPC keeps only its encoding
	err := s.intake.Multicall(ctx, &in.Message, func(item string) error {
		if usual {
			response.Fill(item)
			return sent(stream.SendMsg(&response))
		}
		encoded, err := s.encode(item, m.GetKwargs())
		if err != nil {
			return err
		}
		return sent(stream.Send(&pb.MulticallResponse{Item: encoded}))
	})
	if err != nil {
		return in.status(err)
	}
	return nil
}
