package session_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// numbered numbers the connections of a server, and records the connection of each call.
type numbered struct {
	connections atomic.Int64
	calls       atomic.Pointer[[]int64]
}

type numberKey struct{}

// TagConn implements [stats.Handler], like the other methods.
func (n *numbered) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, numberKey{}, n.connections.Add(1))
}

// TagRPC records the connection of a call.
func (n *numbered) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName == pb.RPCService_Call_FullMethodName {
		calls := append(n.seen(), ctx.Value(numberKey{}).(int64))
		n.calls.Store(&calls)
	}
	return ctx
}

func (n *numbered) seen() []int64 {
	if seen := n.calls.Load(); seen != nil {
		return append([]int64{}, *seen...)
	}
	return nil
}

// HandleConn does nothing.
func (*numbered) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC does nothing.
func (*numbered) HandleRPC(context.Context, stats.RPCStats) {}

// Large messages use a separate connection, so that small messages do not wait for them. Without a
// separate connection, they share one.
func TestLargeMessagesHaveAConnection(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		n := &numbered{}
		play(t, echo, func(w *world) {
			if refused {
				if err := w.host.Listener.Close(); err != nil { // connections that are there stay
					w.Fatal(err)
				}
			}
			for _, size := range []int{1 << 10, 100 << 10, 300 << 10, 300 << 10, 100 << 10} {
				if _, err := w.call(w.Context(), `{"a":"`+strings.Repeat("x", size)+`"}`); err != nil {
					w.Fatal(err)
				}
			}
			synctest.Wait()
			want := []int64{1, 2, 2, 1}
			if refused {
				want = []int64{1, 1, 1, 1}
			}
			if got := n.seen(); !slices.Equal(got, want) {
				w.Errorf("the calls came by the connections %v, want %v", got, want)
			}
		}, grpc.StatsHandler(n))
	}
}
