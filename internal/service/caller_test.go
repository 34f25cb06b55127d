package service

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCallerIsTheUserAgentWithoutGRPC(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"agent@node1 grpc-go/1.76.0":                             "agent@node1",
		"agent grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)": "agent",
		"grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)":       "grpc-python/1.60.0",
		"grpc-go/1.76.0":                "grpc-go/1.76.0",
		"grpcurl/v1.9.3 grpc-go/1.61.0": "grpcurl/v1.9.3",
		"tonic/0.12.3":                  "tonic/0.12.3",
		"grpc-dotnet/2.60.0 (.NET 8.0.0; CLR 8.0.0; net8.0; linux)": "grpc-dotnet/2.60.0 (.NET 8.0.0; CLR 8.0.0; net8.0; linux)",
		" grpc-go/1.76.0": "unknown",
		"":                "unknown",
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("user-agent", agent))
		if got := callerOf(ctx); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
	for _, ctx := range []context.Context{t.Context(), metadata.NewIncomingContext(t.Context(), nil)} {
		if got := callerOf(ctx); got != "unknown" {
			t.Errorf("without: got %q", got)
		}
	}
}

func TestReadingTheCallerAllocatesOnlyItsValue(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("user-agent", "agent@node1 grpc-go/1.76.0"))
	if n := testing.AllocsPerRun(100, func() { callerOf(ctx) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryFormOfMessageHasItsCaller(t *testing.T) {
	t.Parallel()
	callers := make(chan string, 4)
	f := serve(t, newServer(t, "q", "net1", methods{"foo": function(func(ctx context.Context, _ payload.Raw) (any, error) {
		callers <- dispatch.MessageFrom(ctx).Caller
		return nil, nil //nolint:nilnil // The result does not matter.
	})}))
	for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}}) {
		if err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
	for range 4 {
		if got := <-callers; !strings.HasPrefix(got, "grpc-go/") {
			t.Errorf("got %q", got)
		}
	}
	f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "bar"}})
	info, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{Requests: true})
	if err != nil {
		t.Fatal(err)
	}
	got := info.GetServers()[0].GetRequests()
	if len(got) != 2 || got[0].GetMethod() != "bar" || got[0].GetRefused() != 4 || got[1].GetAccepted() != 4 || got[1].GetVersion() != "1.0" {
		t.Errorf("got %v", got)
	}
	for _, r := range got {
		if r.GetFirstSeen().AsTime().IsZero() || r.GetLastSeen().AsTime().Before(r.GetFirstSeen().AsTime()) {
			t.Errorf("the times of %v", r)
		}
	}
	if info, err = f.GetInfo(t.Context(), &pb.GetInfoRequest{}); err != nil || len(info.GetServers()[0].GetRequests()) != 0 {
		t.Errorf("not asked for: %v, %v", info, err)
	}
}

// This is the worst case: long names that all differ.
func TestTheRequestsOfAServerFitAMessage(t *testing.T) {
	t.Parallel()
	s := newServerOf(t, "q", "net1", dispatch.DefaultLimits, dispatch.Endpoint{
		Namespaces: []string{strings.Repeat("n", 255)}, Fallback: echo(),
	})
	for i := range 1200 {
		name := fmt.Sprintf("%04d", i) + strings.Repeat("x", 251)
		_ = s.Dispatch.Cast(t.Context(), &dispatch.Request{Target: rpc.Target{Namespace: strings.Repeat("n", 255)}, Method: name, Caller: name, Kwargs: "{}"})
	}
	list, uncounted := requests(s.Dispatch)
	size := proto.Size(&pb.ServerInfo{Requests: list, Uncounted: uncounted})
	if len(list) != 1024 || size > 1024*900 || size < 512<<10 {
		t.Errorf("%d rows of %d bytes", len(list), size)
	}
}
