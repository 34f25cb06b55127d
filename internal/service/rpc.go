package service

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Call runs a message and returns its last item.
func (p *Process) Call(ctx context.Context, m *pb.CallRequest) (*pb.CallResponse, error) {
	s, response, err := p.call(ctx, m.GetMessage())
	if err != nil {
		return nil, fail(s, m.GetMessage(), err)
	}
	return response, nil
}

func (p *Process) call(ctx context.Context, m *pb.Message) (*Server, *pb.CallResponse, error) {
	s, request, err := p.open(ctx, m)
	if err != nil {
		return s, nil, err
	}
	last := "null"
	err = s.Dispatch.Call(ctx, request, func(item string) error {
		last = item
		return nil
	})
	if err != nil {
		return s, nil, err
	}
	result, err := p.encode(last, m.GetKwargs())
	if err != nil {
		return s, nil, err
	}
	return s, &pb.CallResponse{Result: result}, nil
}

// Cast accepts a message.
func (p *Process) Cast(ctx context.Context, r *pb.CastRequest) (*pb.CastResponse, error) {
	m := r.GetMessage()
	s, request, err := p.open(ctx, m)
	if err == nil {
		request.Delivery = rpc.DeliveryCast
		err = s.Dispatch.Cast(ctx, request)
	}
	if err != nil {
		return nil, fail(s, m, err)
	}
	return &pb.CastResponse{}, nil
}

// Multicall runs a message and sends its items as they come. A Send waits while the client does not read, which holds the
// method back.
func (p *Process) Multicall(r *pb.MulticallRequest, stream grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	m := r.GetMessage()
	s, request, err := p.open(stream.Context(), m)
	if err != nil {
		return fail(s, m, err)
	}
	markTaken(stream)
	request.Delivery = rpc.DeliveryMulticall
	err = untilForced(stream.Context(), s.Dispatch, request, func(item string) error {
		encoded, err := p.encode(item, m.GetKwargs())
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.MulticallResponse{Item: encoded}); err != nil {
			return rpcstatus.Decode(err, true)
		}
		return nil
	})
	if err != nil {
		return fail(s, m, err)
	}
	return nil
}

// The bounds of a heartbeat's interval: what a request that gives none gets, and what would only make noise.
const (
	defaultHeartbeat = time.Second
	minHeartbeat     = 10 * time.Millisecond
)

// MonitoredCall is Call with heartbeats while the message waits and runs.
func (p *Process) MonitoredCall(r *pb.MonitoredCallRequest, stream grpc.ServerStreamingServer[pb.MonitoredCallResponse]) error {
	interval := defaultHeartbeat
	if d := r.GetHeartbeatInterval(); d != nil {
		interval = max(d.AsDuration(), minHeartbeat)
	}
	s, response, err := p.monitor(stream, r.GetMessage(), interval)
	if err != nil {
		return fail(s, r.GetMessage(), err)
	}
	return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: response}})
}

// monitor is call with heartbeats. It ends them in a defer, since a method may end its goroutine.
func (p *Process) monitor(
	stream grpc.ServerStreamingServer[pb.MonitoredCallResponse], m *pb.Message, interval time.Duration,
) (*Server, *pb.CallResponse, error) {
	stop := beat(stream, interval)
	defer stop()
	markTaken(stream)
	return p.call(stream.Context(), m)
}

// beat sends heartbeats until stop is called; after stop returned, nothing is sent. A heartbeat that cannot be sent ends
// them: the caller is gone, and the stream's context tells the method.
func beat(stream grpc.ServerStreamingServer[pb.MonitoredCallResponse], interval time.Duration) (stop func()) {
	var ended sync.WaitGroup
	done := make(chan struct{})
	ended.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		heartbeat := &pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if stream.Send(heartbeat) != nil {
					return
				}
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}
