package grpccarrier

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// hasty is a server that cancels each call some time before its deadline.
type hasty struct {
	pb.UnimplementedRPCServiceServer

	before time.Duration
}

func (h hasty) Call(ctx context.Context, _ *pb.CallRequest) (*pb.CallResponse, error) {
	deadline, _ := ctx.Deadline()
	time.Sleep(time.Until(deadline.Add(-h.before)))
	return nil, status.Error(codes.Canceled, "context canceled")
}

// TestServerNoticesDeadlineFirst runs in faked time. If the server's timer fires a moment before
// the client's, the call timed out. If the server cancels long before the deadline, the outcome is
// unknown.
func TestServerNoticesDeadlineFirst(t *testing.T) {
	for before, want := range map[time.Duration]rpc.Kind{
		time.Millisecond:      rpc.Timeout,
		40 * time.Millisecond: rpc.Timeout,
		time.Second:           rpc.OutcomeUnknown,
	} {
		t.Run(before.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := &peertest.Network{}
				t.Cleanup(network.Serve("up", func(s grpc.ServiceRegistrar) { pb.RegisterRPCServiceServer(s, hasty{before: before}) }))
				c := New(Config{Peers: peer.Config{Dial: network.Dial}})
				link := c.Get(carrier.Key{Addr: "up"})
				t.Cleanup(func() { c.Put(link) })
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := link.Connect(ctx); err != nil {
					t.Fatal(err)
				}
				_, err := link.Do(ctx, &carrier.Request{Method: "m", Kwargs: "{}"})
				if rpc.KindOf(err) != want || rpc.SafeToRetry(err) {
					t.Fatalf("got %v, want %v that is not safe to retry", err, want)
				}
			})
		})
	}
}
