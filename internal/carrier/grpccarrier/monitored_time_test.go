package grpccarrier

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// beating is a server that sends a number of heartbeats at the requested interval, and then replies
// or hangs.
type beating struct {
	pb.UnimplementedRPCServiceServer

	beats   int
	replies bool
}

func (b *beating) MonitoredCall(m *pb.MonitoredCallRequest, stream grpc.ServerStreamingServer[pb.MonitoredCallResponse]) error {
	for range b.beats {
		select {
		case <-time.After(m.GetHeartbeatInterval().AsDuration()):
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		if err := stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Heartbeat{}}); err != nil {
			return err
		}
	}
	if b.replies {
		return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: &pb.CallResponse{}}})
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// connect serves b and returns a connected link to it.
func (b *beating) connect(t *testing.T) carrier.Link {
	t.Helper()
	network := &peertest.Network{}
	t.Cleanup(network.Serve("up", func(s grpc.ServiceRegistrar) { pb.RegisterRPCServiceServer(s, b) }))
	c := New(Config{Peers: peer.Config{Dial: network.Dial}})
	link := c.Get(carrier.Key{Addr: "up"})
	t.Cleanup(func() { c.Put(link) })
	if err := link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return link
}

// TestMonitorTimes runs in faked time. Heartbeats keep a call alive for many times the monitor's
// timeout, but not beyond its deadline.
func TestMonitorTimes(t *testing.T) {
	const monitor, deadline = time.Second, time.Minute
	for name, test := range map[string]struct {
		server beating
		want   rpc.Kind // 0 for none
		took   time.Duration
	}{
		"a reply after many heartbeats": {beating{beats: 60, replies: true}, 0, 30 * time.Second},
		"no heartbeat":                  {beating{}, rpc.MonitorTimeout, time.Second},
		"heartbeats that stop":          {beating{beats: 60}, rpc.MonitorTimeout, 31 * time.Second},
		"heartbeats without end":        {beating{beats: 1000}, rpc.Timeout, deadline},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := test.server.connect(t)
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				begin := time.Now()
				_, err := link.Do(ctx, &carrier.Request{Method: "m", Kwargs: "{}", Silence: monitor})
				if took := time.Since(begin); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				if (err == nil) != (test.want == 0) || rpc.KindOf(err) != test.want || rpc.SafeToRetry(err) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			})
		})
	}
}
