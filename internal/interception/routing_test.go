package interception

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// proxy sees the methods and headers of RPCs, like an HTTP proxy.
type proxy struct {
	mu   sync.Mutex
	seen []passed
}

type passed struct {
	server, method string
	headers        metadata.MD
}

func (p *proxy) pass(ctx context.Context, server, method string) {
	md, _ := metadata.FromIncomingContext(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, passed{server, method, md})
}

// take returns the RPCs since the last call.
func (p *proxy) take() []passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.seen
	p.seen = nil
	return list
}

// before returns options that put the proxy in front of a server.
func (p *proxy) before(server string) oslorpc.TransportOption {
	return oslorpc.WithServerOptions(
		grpc.UnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			p.pass(ctx, server, info.FullMethod)
			return handler(ctx, r)
		}),
		grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			p.pass(stream.Context(), server, info.FullMethod)
			return handler(s, stream)
		}))
}

// routed returns the transport of a client that sends routing headers.
func routed(t *testing.T, options func(server string) []oslorpc.TransportOption, client ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	url := "memory://" + strings.ReplaceAll(t.Name(), "/", "-")
	open := func(url string, options ...oslorpc.TransportOption) *oslorpc.Transport {
		tr, err := oslorpc.Open(url, append(options, oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tr.Close() })
		return tr
	}
	for _, name := range []string{"node1", "node 2"} {
		s := open(url, options(name)...).Server(oslorpc.Target{Topic: topic, Server: name})
		i := &inventory{name: name, journal: newJournal()}
		s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
		v1.RegisterInventoryServiceServer(s, i)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return open(url+"?carrier=routed", client...)
}

// instanceOf returns an instance as discovery knows it.
func instanceOf(t *testing.T, tr *oslorpc.Transport, server string) oslorpc.Instance {
	t.Helper()
	list, err := tr.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list, func(i oslorpc.Instance) bool { return i.Server == server })
	if at < 0 {
		t.Fatalf("there is no %s among %v", server, list)
	}
	return list[at]
}

// With routing headers, each RPC of each delivery names its server and version in headers, and the
// server finds no contradiction. Without the option, messages of the protocol have no such headers.
func TestRoutingHeaders(t *testing.T) {
	p := &proxy{}
	tr := routed(t, func(server string) []oslorpc.TransportOption { return []oslorpc.TransportOption{p.before(server)} })
	c := tr.Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
	one := func(md metadata.MD, key string) string { return strings.Join(md[key], "|") }
	for _, r := range rows() {
		p.take()
		if o := r.send(t.Context(), c); !o.worked(r) {
			t.Fatalf("%s: got %+v", r.name, o)
		}
		list := p.take()
		if want := map[bool]int{false: 1, true: 2}[r.toAll]; len(list) != want {
			t.Errorf("%s: %d RPCs passed", r.name, len(list))
		}
		for _, rpc := range list {
			got := []string{one(rpc.headers, header.Exchange), one(rpc.headers, header.Topic), one(rpc.headers, header.Server), one(rpc.headers, header.Version)}
			if want := []string{"openstack", topic, header.Escape(rpc.server), r.version}; !slices.Equal(got, want) {
				t.Errorf("%s: the headers say %q, want %q", r.name, got, want)
			}
		}
	}
	p.take()
	if _, err := tr.Info(t.Context(), instanceOf(t, tr, "node1")); err != nil {
		t.Fatal(err)
	}
	if list := p.take(); len(list) != 1 || one(list[0].headers, header.Topic) != topic || one(list[0].headers, header.Server) != "node1" {
		t.Errorf("Info sent the RPCs %v, want one with the headers of node1", list)
	}
}

// Messages that are routed one by one do not share a stream, even if sessions are the default.
func TestRoutedMessagesUseNoSession(t *testing.T) {
	t.Setenv("OSLORPC_CARRIER", "session")
	tr := routed(t, func(string) []oslorpc.TransportOption { return nil })
	c := tr.Client(oslorpc.Target{Topic: topic, Version: "1.1", Server: "node1"}, oslorpc.WithTimeout(patience))
	for range 10 {
		if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
			t.Fatal(err)
		}
	}
	info, err := tr.Info(t.Context(), instanceOf(t, tr, "node1"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sessions != nil && info.Sessions.Open > 0 {
		t.Errorf("there are sessions: %+v", info.Sessions)
	}
}

// Every RPC refuses headers that contradict its message, since a proxy may have routed by these
// headers.
func TestContradictions(t *testing.T) {
	tr, err := oslorpc.Open("memory://"+t.Name(), oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	s := tr.Server(oslorpc.Target{Topic: topic, Server: "node1"})
	i := &inventory{name: "node1", journal: newJournal()}
	s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
	v1.RegisterInventoryServiceServer(s, i)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	instance, _ := s.Instance()
	conn, err := grpc.NewClient(instance.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	contract, asking, typed := pb.NewRPCServiceClient(conn), pb.NewIntrospectionServiceClient(conn), v1.NewInventoryServiceClient(conn)
	name := topic
	message := &pb.Message{Target: &pb.Target{Topic: &name}, Method: "whoami"}
	received := func(stream interface{ RecvMsg(m any) error }, err error, into any) error {
		if err != nil {
			return err
		}
		return stream.RecvMsg(into)
	}
	ofInstance := []string{header.Instance, instance.ID}
	for what, test := range map[string]struct {
		headers []string
		send    func(ctx context.Context) error
	}{
		"call": {nil, func(ctx context.Context) error {
			_, err := contract.Call(ctx, &pb.CallRequest{Message: message})
			return err
		}},
		"cast": {nil, func(ctx context.Context) error {
			_, err := contract.Cast(ctx, &pb.CastRequest{Message: message})
			return err
		}},
		"multicall": {nil, func(ctx context.Context) error {
			stream, err := contract.Multicall(ctx, &pb.MulticallRequest{Message: message})
			return received(stream, err, &pb.MulticallResponse{})
		}},
		"monitored call": {nil, func(ctx context.Context) error {
			stream, err := contract.MonitoredCall(ctx, &pb.MonitoredCallRequest{Message: message})
			return received(stream, err, &pb.MonitoredCallResponse{})
		}},
		"session": {nil, func(ctx context.Context) error {
			stream, err := contract.Session(ctx)
			return received(stream, err, &pb.SessionResponse{})
		}},
		"introspection": {nil, func(ctx context.Context) error {
			_, err := asking.GetInfo(ctx, &pb.GetInfoRequest{Topic: &name})
			return err
		}},
		"typed": {ofInstance, func(ctx context.Context) error {
			_, err := typed.GetVolume(ctx, &v1.GetVolumeRequest{Name: "a"})
			return err
		}},
		"typed cast": {ofInstance, func(ctx context.Context) error {
			_, err := typed.ReportUsage(ctx, &v1.ReportUsageRequest{Name: "a"})
			return err
		}},
		"typed stream": {ofInstance, func(ctx context.Context) error {
			stream, err := typed.WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "a"})
			return received(stream, err, &v1.WatchVolumesResponse{})
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		agreeing := test.send(metadata.AppendToOutgoingContext(ctx, append([]string{header.Topic, topic}, test.headers...)...))
		if agreeing != nil && what != "session" && what != "multicall" {
			t.Errorf("%s: headers that agree are refused: %v", what, agreeing)
		}
		err := test.send(metadata.AppendToOutgoingContext(ctx, append([]string{header.Topic, "billing"}, test.headers...)...))
		cancel()
		if e := rpcstatus.Decode(err, true); err == nil || !errors.Is(e, rpc.InvalidTarget) || !rpc.SafeToRetry(e) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
