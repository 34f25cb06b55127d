package service

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// payloads records the message types that a statistics handler sees.
type payloads struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (*payloads) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*payloads) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*payloads) HandleConn(context.Context, stats.ConnStats)                       {}
func (p *payloads) HandleRPC(_ context.Context, s stats.RPCStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s := s.(type) {
	case *stats.InPayload:
		p.seen[fmt.Sprintf("%T", s.Payload)] = true
	case *stats.OutPayload:
		p.seen[fmt.Sprintf("%T", s.Payload)] = true
	}
}

// A message gets the same answer whether package wire or generated code decodes it. Extensions of
// gRPC by a program see the generated types.
func TestDirectAnswersAreAsOthers(t *testing.T) {
	t.Parallel()
	seen := &payloads{seen: map[string]bool{}}
	intercepted := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if _, ok := request.(interface{ GetMessage() *pb.Message }); !ok {
			t.Errorf("an interceptor sees a %T", request)
		}
		return handler(ctx, request)
	}
	direct := serve(t, newServer(t, "q", "net1", methods{"echo": echo(), "bad": text("\xff")}))
	others := map[string]*fleet{
		"watched": serveWith(t, []grpc.ServerOption{grpc.StatsHandler(seen)},
			newServer(t, "q", "net1", methods{"echo": echo(), "bad": text("\xff")})),
		"intercepted": serveWith(t, []grpc.ServerOption{grpc.UnaryInterceptor(intercepted)},
			newServer(t, "q", "net1", methods{"echo": echo(), "bad": text("\xff")})),
	}
	for name, m := range map[string]*pb.Message{
		"usual":          {Target: to("q"), Method: "echo", Kwargs: asJSON(`{"a":"ü"}`), Context: asJSON(`{"b":1}`), Id: "1", OrderKey: "k"},
		"all names":      {Target: &pb.Target{Exchange: new("openstack"), Topic: new("q"), Version: new("1.0"), Server: new("net1")}, Method: "echo", InstanceId: "b1.net1", Kwargs: asJSON("{}")},
		"no kwargs":      {Target: to("q"), Method: "echo"},
		"empty kwargs":   {Target: to("q"), Method: "echo", Kwargs: asJSON("")},
		"values":         {Target: to("q"), Method: "echo", Kwargs: asValue(t, `{"a":1}`)},
		"metadata":       {Target: to("q"), Method: "echo", Kwargs: asJSON("{}"), Metadata: map[string]string{"a": "b"}},
		"bad result":     {Target: to("q"), Method: "bad", Kwargs: asJSON("{}")},
		"bad version":    {Target: &pb.Target{Topic: new("q"), Version: new("x")}, Method: "echo", Kwargs: asJSON("{}")},
		"other version":  {Target: &pb.Target{Topic: new("q"), Version: new("2.0")}, Method: "echo", Kwargs: asJSON("{}")},
		"other topic":    {Target: to("other"), Method: "echo", Kwargs: asJSON("{}")},
		"no topic":       {Method: "echo", Kwargs: asJSON("{}")},
		"empty topic":    {Target: &pb.Target{Topic: new("")}, Method: "echo"},
		"no method":      {Target: to("q")},
		"other method":   {Target: to("q"), Method: "other", Kwargs: asJSON("{}")},
		"no object":      {Target: to("q"), Method: "echo", Kwargs: asJSON("[]")},
		"no context":     {Target: to("q"), Method: "echo", Kwargs: asJSON("{}"), Context: asJSON("1")},
		"no message":     nil,
		"an empty one":   {},
		"a far instance": {Target: to("q"), Method: "echo", InstanceId: "b2.net1"},
	} {
		t.Run(name, func(t *testing.T) {
			want, wantErr := direct.Call(t.Context(), &pb.CallRequest{Message: m})
			_, wantCast := direct.Cast(t.Context(), &pb.CastRequest{Message: m})
			for kind, f := range others {
				got, err := f.Call(t.Context(), &pb.CallRequest{Message: m})
				if !proto.Equal(got, want) || !proto.Equal(status.Convert(err).Proto(), status.Convert(wantErr).Proto()) {
					t.Errorf("%s, a call: %v, %v, but directly %v, %v", kind, got, err, want, wantErr)
				}
				_, err = f.Cast(t.Context(), &pb.CastRequest{Message: m})
				if !proto.Equal(status.Convert(err).Proto(), status.Convert(wantCast).Proto()) {
					t.Errorf("%s, a cast: %v, but directly %v", kind, err, wantCast)
				}
			}
		})
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, m := range []proto.Message{&pb.CallRequest{}, &pb.CallResponse{}, &pb.CastRequest{}, &pb.CastResponse{}} {
		if name := fmt.Sprintf("%T", m); !seen.seen[name] {
			t.Errorf("a statistics handler saw %v, want a %s, too", seen.seen, name)
		}
	}
}
