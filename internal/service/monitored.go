package service

import (
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// The bounds of a heartbeat's interval: the interval of a request that gives none, and the shortest
// one that is of use.
const (
	defaultHeartbeat = time.Second
	minHeartbeat     = 10 * time.Millisecond
)

// MonitoredCall is Call with heartbeats while the message waits and runs.
func (s *Services) MonitoredCall(r *pb.MonitoredCallRequest, stream grpc.ServerStreamingServer[pb.MonitoredCallResponse]) error {
	interval := defaultHeartbeat
	if d := r.GetHeartbeatInterval(); d != nil {
		interval = max(d.AsDuration(), minHeartbeat)
	}
	response, err := s.monitor(stream, r.GetMessage(), interval)
	if err != nil {
		return err
	}
	return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: response}})
}

// monitor is call with heartbeats. It ends them in a defer, since a method may end its goroutine.
func (s *Services) monitor(
	stream grpc.ServerStreamingServer[pb.MonitoredCallResponse], m *pb.Message, interval time.Duration,
) (*pb.CallResponse, error) {
	stop := beat(stream, interval)
	defer stop()
	markTaken(stream)
	return s.call(stream.Context(), m, interval)
}

// beat sends heartbeats until stop is called. After stop has returned, it sends nothing. A
// heartbeat that cannot be sent ends them: the caller is gone, and the stream's context tells the
// method.
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
