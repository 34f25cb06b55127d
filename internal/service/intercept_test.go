package service

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/typed"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// volumes is a typed service that records what runs.
type volumes struct {
	v1.UnimplementedInventoryServiceServer

	ran chan *rpc.Message
}

func (v volumes) CreateVolume(ctx context.Context, _ *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	v.ran <- dispatch.MessageFrom(ctx)
	return &v1.CreateVolumeResponse{}, nil
}

func (v volumes) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	v.ran <- dispatch.MessageFrom(ctx)
	return &emptypb.Empty{}, nil
}

func (v volumes) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	v.ran <- dispatch.MessageFrom(stream.Context())
	return nil
}

func (v volumes) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	v.ran <- dispatch.MessageFrom(stream.Context())
	return stream.SendAndClose(&v1.ImportVolumesResponse{})
}

// guarded is a process whose interceptors decide, with a connection to it.
type guarded struct {
	*grpc.ClientConn

	ran chan *rpc.Message // by methods

	mu       sync.Mutex
	accepted []rpc.Message // what interceptors saw
	refuses  error
}

func (g *guarded) accept(ctx context.Context, m *rpc.Message) (context.Context, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepted = append(g.accepted, *m)
	return ctx, g.refuses
}

func guard(t *testing.T, options ...grpc.ServerOption) *guarded {
	t.Helper()
	g := &guarded{ran: make(chan *rpc.Message, 100)}
	rules, err := typed.FindService("typedtest.v1.InventoryService")
	if err != nil {
		t.Fatal(err)
	}
	foo := function(func(ctx context.Context, _ payload.Raw) (any, error) {
		g.ran <- dispatch.MessageFrom(ctx)
		return nil, nil
	})
	table := dispatch.NewTable([]dispatch.Endpoint{
		{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"foo": foo}},
		{Namespaces: []string{rules.Namespace}, Version: rules.Version, Service: rules.Name, Methods: methods{
			"CreateVolume": {}, "ReportUsage": {}, "WatchVolumes": {Streaming: true}, "ImportVolumes": {},
		}},
	})
	d := dispatch.New(dispatch.Config{
		Name: "net1", Table: table, Limits: dispatch.DefaultLimits, Phase: phase.Opened(), Log: slog.New(slog.DiscardHandler),
	})
	in := newIntake([]rpc.Interceptor{{Accept: g.accept}}, &intake.Server{
		Dispatch: d, Services: map[string]*intake.Service{rules.Name: NewTyped(rules, &v1.InventoryService_ServiceDesc, volumes{ran: g.ran})},
		Instance: rpc.Instance{ID: "b1.net1", BootID: "b1", Exchange: rpc.DefaultExchange, Topic: "q", Server: "net1"},
	})
	services := New(in)
	server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(services.Unknown))...)
	services.Register(server, false)
	services.RegisterTyped(server)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	if g.ClientConn, err = grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.ClientConn.Close()
		server.Stop()
		serving.Wait()
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// rpcs returns all RPCs that reach a process, with their deliveries.
func (g *guarded) rpcs(m func() *pb.Message) map[string]func(context.Context) error {
	client, inspect, stub := pb.NewRPCServiceClient(g), pb.NewIntrospectionServiceClient(g), v1.NewInventoryServiceClient(g)
	return map[string]func(context.Context) error{
		"call": func(ctx context.Context) error {
			_, err := client.Call(ctx, &pb.CallRequest{Message: m()})
			return err
		},
		"cast": func(ctx context.Context) error {
			_, err := client.Cast(ctx, &pb.CastRequest{Message: m()})
			return err
		},
		"multicall": func(ctx context.Context) error {
			stream, err := client.Multicall(ctx, &pb.MulticallRequest{Message: m()})
			return errors.Join(err, ended(stream))
		},
		"monitored call": func(ctx context.Context) error {
			stream, err := client.MonitoredCall(ctx, &pb.MonitoredCallRequest{Message: m()})
			return errors.Join(err, ended(stream))
		},
		"ping": func(ctx context.Context) error {
			_, err := inspect.Ping(ctx, &pb.PingRequest{})
			return err
		},
		"info": func(ctx context.Context) error {
			_, err := inspect.GetInfo(ctx, &pb.GetInfoRequest{})
			return err
		},
		"typed call": func(ctx context.Context) error {
			_, err := stub.CreateVolume(ctx, &v1.CreateVolumeRequest{})
			return err
		},
		"typed cast": func(ctx context.Context) error {
			_, err := stub.ReportUsage(ctx, &v1.ReportUsageRequest{})
			return err
		},
		"typed multicall": func(ctx context.Context) error {
			stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
			return errors.Join(err, ended(stream))
		},
		"session call": func(ctx context.Context) error {
			return g.inSession(ctx, &pb.SessionMessage{Message: m()})
		},
		"session cast": func(ctx context.Context) error {
			return g.inSession(ctx, &pb.SessionMessage{Message: m(), Mode: pb.SessionMode_SESSION_MODE_CAST})
		},
		"session monitored call": func(ctx context.Context) error {
			return g.inSession(ctx, &pb.SessionMessage{Message: m(), Mode: pb.SessionMode_SESSION_MODE_MONITORED_CALL})
		},
		"session typed call": func(ctx context.Context) error {
			return g.inSession(ctx, &pb.SessionMessage{Message: &pb.Message{}, Path: v1.InventoryService_CreateVolume_FullMethodName})
		},
		"typed stream": func(ctx context.Context) error {
			stream, err := stub.ImportVolumes(ctx)
			if err != nil {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		},
	}
}

// inSession sends a message in a separate session and returns its error.
func (g *guarded) inSession(ctx context.Context, m *pb.SessionMessage) error {
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // the server may still have the session before
	c, err := openSession(ctx, pb.NewRPCServiceClient(g), &pb.SessionOpen{Id: id})
	if err != nil {
		return err
	}
	m.Seq = 1
	c.send(&pb.SessionRequest_Message{Message: m})
	result, err := c.result()
	if err != nil {
		return err
	}
	return errors.Join(statusIn(result), c.end())
}

// ended returns the error of a stream, or nil at its end.
func ended[T any](stream grpc.ServerStreamingClient[T]) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func foo() *pb.Message { return &pb.Message{Target: to("q"), Method: "foo"} }

// TestNoRPCBypassesInterceptors checks that interceptors see each RPC of the protocol and of a
// typed service once, and that their refusal is the answer.
func TestNoRPCBypassesInterceptors(t *testing.T) {
	t.Parallel()
	g := guard(t)
	described := len(pb.RPCService_ServiceDesc.Methods) + len(pb.RPCService_ServiceDesc.Streams) + len(pb.IntrospectionService_ServiceDesc.Methods)
	if all := g.rpcs(foo); len(all) != described+4+3 {
		t.Errorf("%d RPCs are tested, of %d of the contract, four forms of typed ones and four of sessions", len(all), described)
	}
	for name, send := range g.rpcs(foo) {
		if err := send(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != "ping" && name != "info" {
			<-g.ran
		}
		if len(g.accepted) != 1 {
			t.Errorf("%s: seen %d times", name, len(g.accepted))
		}
		g.accepted = nil
		for kind, refuses := range map[rpc.Kind]error{
			rpc.AccessDenied: errors.New("not you"), rpc.Refused: &rpc.Error{Kind: rpc.Refused, Message: "not you"},
		} {
			g.refuses = refuses
			e := check(t, send(t.Context()), kind, true, "not you")
			if kind == rpc.Refused && !errors.Is(e, refusal.Declined) {
				t.Errorf("%s: the reason of %v", name, e)
			}
			if len(g.accepted) != 1 {
				t.Errorf("%s, refused: seen %d times", name, len(g.accepted))
			}
			g.accepted, g.refuses = nil, nil
		}
	}
	if len(g.ran) > 0 {
		t.Errorf("%d ran", len(g.ran))
	}
}

// TestInterceptorsKnowTheRPC checks the headers of the RPC, the entries of the message, and the
// process at the other end.
func TestInterceptorsKnowTheRPC(t *testing.T) {
	t.Parallel()
	g := guard(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "a", "1", "a", "2", "b", "header", "c-bin", "\x00\xff", "oslorpc-topic", "q")
	withEntries := func() *pb.Message {
		m := foo()
		m.Metadata = map[string]string{"B": "entry", "d-bin": "AP8=", "e-bin": "AP8", "grpc-x": "1", "oslorpc-x": "1", "user-agent": "x"}
		return m
	}
	headers := rpc.Metadata{"a": {"1", "2"}, "b": {"header"}, "c-bin": {"\x00\xff"}}
	both := maps.Clone(headers)
	maps.Copy(both, rpc.Metadata{"b": {"entry"}, "d-bin": {"\x00\xff"}, "e-bin": {"\x00\xff"}})
	for name, send := range g.rpcs(withEntries) {
		want := headers
		if slices.Contains([]string{"call", "cast", "multicall", "monitored call", "session call", "session cast", "session monitored call"}, name) {
			want = both
		}
		if err := send(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		messages := g.accepted
		if name != "ping" && name != "info" {
			messages = append(messages, *<-g.ran)
		}
		g.accepted = nil
		for _, m := range messages {
			if !maps.EqualFunc(m.Metadata, want, slices.Equal[[]string]) {
				t.Errorf("%s: the metadata is %v, want %v", name, m.Metadata, want)
			}
			if host, _, err := net.SplitHostPort(m.Peer.Addr); err != nil || host != "127.0.0.1" || m.Peer.TLS != nil {
				t.Errorf("%s: the peer is %+v", name, m.Peer)
			}
			if m.Monitored != strings.HasSuffix(name, "monitored call") {
				t.Errorf("%s: monitored is %v", name, m.Monitored)
			}
		}
	}
	if err := g.rpcs(foo)["call"](t.Context()); err != nil || g.accepted[0].Metadata.Get("a") != "" || len((<-g.ran).Metadata) > 0 {
		t.Errorf("without any: %v, %v", g.accepted[0].Metadata, err)
	}
}

func TestPeerHasWhatTLSProved(t *testing.T) {
	t.Parallel()
	state := tls.ConnectionState{ServerName: "net1"}
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.UnixAddr{Name: "/x", Net: "unix"}, AuthInfo: credentials.TLSInfo{State: state}})
	if p := (origin{ctx: ctx}).Peer(); p.Addr != "/x" || p.TLS == nil || p.TLS.ServerName != "net1" {
		t.Errorf("got %+v", p)
	}
	if p := (origin{ctx: t.Context()}).Peer(); p.Addr != "" || p.TLS != nil || p.Identity.Proof != rpc.ProofNone {
		t.Errorf("of no RPC: %+v", p)
	}
}

// An interceptor of gRPC may serve a unary RPC twice. Each time, a separate message arrives.
func TestInterceptorOfGRPCThatServesTwice(t *testing.T) {
	t.Parallel()
	g := guard(t, grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if _, err := handle(ctx, request); err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}))
	for _, name := range []string{"typed call", "typed cast"} {
		if err := g.rpcs(foo)[name](t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		first, second := <-g.ran, <-g.ran
		if first == second || len(g.accepted) != 2 {
			t.Errorf("%s: seen %d times", name, len(g.accepted))
		}
		g.accepted = nil
	}
}

// TestRemainingTime checks the limit on messages without a deadline.
func TestRemainingTime(t *testing.T) {
	t.Parallel()
	g := newGate()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": g.method()}))
	with := func(d *durationpb.Duration) *pb.CallRequest {
		return &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Remaining: d}}
	}
	for form, err := range f.attempt(t, with(durationpb.New(20*time.Millisecond))) {
		if form == "cast" { // the time does not bound what runs after the answer
			if err != nil {
				t.Errorf("%s: %v", form, err)
			}
			continue
		}
		check(t, err, rpc.Timeout, false, "while the method ran")
	}
	for range 4 {
		<-g.entered
	}
	g.open <- struct{}{} // the cast waits still
	for form, err := range f.attempt(t, with(durationpb.New(0))) {
		if form != "cast" {
			check(t, err, rpc.Timeout, true)
		}
	}
	<-g.entered
	close(g.open)
	for _, bad := range []*durationpb.Duration{durationpb.New(-1), {Seconds: math.MaxInt64}, {Seconds: 1, Nanos: -1}} {
		for _, err := range f.attempt(t, with(bad)) {
			check(t, err, rpc.InvalidTarget, true, "`remaining`")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := f.Call(ctx, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Remaining: durationpb.New(time.Hour)}}); err != nil {
		t.Error(err)
	}
}
