package service

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// isGRPC reports whether this goroutine belongs to gRPC.
func isGRPC() bool {
	return strings.Contains(string(debug.Stack()), "google.golang.org/grpc.(*Server)")
}

// Methods run on gRPC's goroutines for RPCs, unless something in the program waits for what gRPC
// does after the handler. This test fails if gRPC's streams no longer accept a status.
func TestMethodsRunOnTheGoroutinesOfGRPC(t *testing.T) {
	t.Parallel()
	where := methods{"where": function(func(context.Context, payload.Raw) (bool, error) { return isGRPC(), nil })}
	intercepted := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, request)
	}
	for name, test := range map[string]struct {
		options []grpc.ServerOption
		want    string
	}{
		"usual":       {nil, "true"},
		"watched":     {[]grpc.ServerOption{grpc.StatsHandler(&payloads{seen: map[string]bool{}})}, "false"},
		"intercepted": {[]grpc.ServerOption{grpc.UnaryInterceptor(intercepted)}, "false"},
	} {
		f := serveWith(t, test.options, newServer(t, "q", "net1", where))
		r, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "where", Kwargs: asJSON("{}")}})
		if err != nil || r.GetResult().GetJson() != test.want {
			t.Errorf("%s: the method runs on a goroutine of gRPC's: %s, %v, want %s", name, r.GetResult().GetJson(), err, test.want)
		}
	}
}

// A method that exits the goroutine of its RPC fails at once, and may be called again.
func TestMethodThatEndsTheGoroutineOfItsRPC(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"quit": function(func(context.Context, payload.Raw) (any, error) {
		if !isGRPC() {
			t.Error("the method runs on another goroutine")
		}
		runtime.Goexit()
		return nil, nil
	})}))
	for range 10 {
		_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "quit", Kwargs: asJSON("{}")}})
		e := check(t, err, rpc.Remote, false, "runtime.Goexit")
		if e.Server != "net1" || e.Method != "quit" {
			t.Errorf("the error is of the method %q of the server %q", e.Method, e.Server)
		}
	}
}
