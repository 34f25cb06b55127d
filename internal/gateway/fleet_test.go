package gateway_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/leak"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience limits operations that must not take long.
const patience = 20 * time.Second

// topic is the topic of the servers.
const topic = "inventory"

// fleet is a separate fleet for each test, with an in-memory registry.
type fleet struct {
	url string
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	return &fleet{"memory://" + strings.ReplaceAll(t.Name(), "/", "-")}
}

// open opens a transport of the fleet.
func (f *fleet) open(t testing.TB, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	return open(t, f.url, options...)
}

func open(t testing.TB, url string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open(url, append([]oslorpc.TransportOption{
		oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// asGateway makes a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }

// gate is a running gateway.
type gate struct {
	transport *oslorpc.Transport
	server    *oslorpc.Server
	addr      string
}

// gateway starts a gateway.
func (f *fleet) gateway(t testing.TB, name string, options ...oslorpc.TransportOption) *gate {
	t.Helper()
	g := &gate{transport: f.open(t, append(options, asGateway{oslorpc.WithListen("127.0.0.1:0"), gateway.New()})...)}
	g.server = g.transport.Server(oslorpc.Target{Topic: gateway.Topic, Server: name})
	if err := g.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	instance, _ := g.server.Instance()
	g.addr = instance.Addr
	return g
}

// restart restarts a gateway at its address.
func (f *fleet) restart(t *testing.T, g *gate) *gate {
	t.Helper()
	instance := &gate{transport: f.open(t, asGateway{oslorpc.WithListen(g.addr), gateway.New()}), addr: g.addr}
	instance.server = instance.transport.Server(oslorpc.Target{Topic: gateway.Topic, Server: "again"})
	if err := instance.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return instance
}

// stubOf returns a plain stub for a server or a gateway.
func (*fleet) stubOf(t *testing.T, addr string) pb.RPCServiceClient {
	t.Helper()
	return pb.NewRPCServiceClient((&gate{addr: addr}).connect(t))
}

// connect returns a plain gRPC connection to a gateway.
func (g *gate) connect(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(g.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("thin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// shop has the methods of a server.
type shop struct {
	v1.UnimplementedInventoryServiceServer

	name     string
	server   *oslorpc.Server
	instance oslorpc.Instance

	mu      sync.Mutex
	seen    []rpc.Message
	running chan struct{} // has an element for each run of wait
	gone    chan error    // has why the context of wait ended
}

func (s *shop) note(ctx context.Context) {
	m := oslorpc.MessageFrom(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, *m)
}

// last returns the last message that the server ran.
func (s *shop) last() rpc.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return rpc.Message{}
	}
	return s.seen[len(s.seen)-1]
}

// ranFor reports whether the server ran a message of a caller.
func (s *shop) ranFor(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.seen, func(m rpc.Message) bool { return slices.Contains(m.Peer.Identity.Names, name) })
}

func (s *shop) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// errShop is the error of the method fail.
var errShop = errors.New("out of stock")

type none = oslorpc.NoArgs

func (s *shop) methods() map[string]oslorpc.Method {
	return map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(ctx context.Context, _ none) (string, error) {
			s.note(ctx)
			return s.name, nil
		}),
		"echo": oslorpc.Func(func(ctx context.Context, args map[string]oslorpc.Raw) (map[string]oslorpc.Raw, error) {
			s.note(ctx)
			return args, nil
		}),
		"fail": oslorpc.Func(func(ctx context.Context, _ none) (string, error) {
			s.note(ctx)
			return "", errShop
		}).Expect(errShop),
		"count": oslorpc.Stream(func(ctx context.Context, _ none) iter.Seq2[int, error] {
			s.note(ctx)
			return func(yield func(int, error) bool) {
				for n := 1; n <= 3 && yield(n, nil); n++ {
				}
			}
		}),
		"wait": oslorpc.Func(func(ctx context.Context, _ none) (string, error) {
			s.note(ctx)
			s.running <- struct{}{}
			<-ctx.Done()
			s.gone <- context.Cause(ctx)
			return "", ctx.Err()
		}),
	}
}

// GetVolume is a typed call.
func (s *shop) GetVolume(ctx context.Context, r *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	s.note(ctx)
	if r.GetName() == "" {
		return nil, status.Error(codes.NotFound, "no such volume")
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs("cost", "7"))
	return &v1.GetVolumeResponse{Name: s.name + "/" + r.GetName()}, nil
}

// WatchVolumes sends three items.
func (s *shop) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	s.note(stream.Context())
	for range 3 {
		if err := stream.Send(&v1.WatchVolumesResponse{Name: s.name}); err != nil {
			return err
		}
	}
	return nil
}

// ImportVolumes accepts any number of messages.
func (s *shop) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	s.note(stream.Context())
	for n := int64(0); ; n++ {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: n})
		} else if err != nil {
			return err
		}
	}
}

// SyncVolumes answers each message.
func (s *shop) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	s.note(stream.Context())
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&v1.SyncVolumesResponse{Name: r.GetName()}); err != nil {
			return err
		}
	}
}

// serve starts a server.
func (f *fleet) serve(t testing.TB, name string, options ...oslorpc.TransportOption) *shop {
	t.Helper()
	s := &shop{name: name, running: make(chan struct{}, 16), gone: make(chan error, 16)}
	s.server = f.open(t, append([]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1:0")}, options...)...).
		Server(oslorpc.Target{Topic: topic, Server: name})
	s.server.Add(oslorpc.Endpoint{Version: "1.4", Methods: s.methods()})
	v1.RegisterInventoryServiceServer(s.server, s)
	if err := s.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.instance, _ = s.server.Instance()
	return s
}

// to returns a message for the topic.
func to(server, method string) *pb.Message {
	name := topic
	m := &pb.Message{Target: &pb.Target{Topic: &name}, Method: method}
	if server != "" {
		m.Target.Server = &server
	}
	return m
}

// text returns JSON text as a payload.
func text(json string) *pb.Payload { return &pb.Payload{Encoding: &pb.Payload_Json{Json: json}} }

// detail returns the detail of an error.
func detail(t *testing.T, err error) *pb.ErrorDetail {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(*pb.ErrorDetail); ok {
			return d
		}
	}
	t.Fatalf("%v has no detail", err)
	return nil
}

// bounded returns a context with a deadline, in case a test hangs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
