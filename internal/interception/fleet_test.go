package interception

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	topic      = "inventory"
	clientName = "client.example"
)

// fleet is a client and servers. Each is a separate process for the others and proves its name by a
// certificate.
type fleet struct {
	journal   *journal
	authority *tlstest.Authority
	client    *oslorpc.Client
	servers   map[string]*oslorpc.Server
	// refuse is called at each point by each process. It decides whether to refuse a message.
	refuse atomic.Pointer[func(at point, process string, m *rpc.Message) error]
}

// newFleet starts servers and a client of their topic.
func newFleet(t *testing.T, servers []string, options ...oslorpc.ServerOption) *fleet {
	t.Helper()
	f := &fleet{journal: newJournal(), authority: tlstest.New(t), servers: map[string]*oslorpc.Server{}}
	for _, name := range servers {
		f.servers[name] = f.serve(t, name, nil, options...)
	}
	client := f.open(t, clientName, oslorpc.WithCallerName("tester"), oslorpc.WithInterceptors(marking(), f.journal.interceptor("client"), f.refusing("client")))
	f.client = client.Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
	return f
}

// open opens a transport whose certificate contains a name.
func (f *fleet) open(t *testing.T, name string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	transport, err := oslorpc.Open("memory://"+test, append(options, oslorpc.WithStopGrace(0),
		oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithTrust(trust.Config{TLS: f.authority.Mutual(name)}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// serve starts a server.
func (f *fleet) serve(t *testing.T, name string, transport []oslorpc.TransportOption, options ...oslorpc.ServerOption) *oslorpc.Server {
	t.Helper()
	transport = append(transport, oslorpc.WithInterceptors(identifying(), f.journal.interceptor(name), f.refusing(name)))
	s := f.open(t, name, transport...).Server(oslorpc.Target{Topic: topic, Server: name}, options...)
	i := &inventory{name: name, journal: f.journal}
	s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
	v1.RegisterInventoryServiceServer(s, i)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// marking returns a client interceptor that adds metadata to messages.
func marking() oslorpc.Interceptor {
	return oslorpc.Interceptor{
		Send: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			m.Metadata.Set("Sent-By", "ann")
			m.Metadata.Add("trace-bin", "\x00\xff")
			return next(ctx)
		},
		Attempt: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			m.Metadata.Set("offered-to", m.Server)
			return next(ctx)
		},
	}
}

// userKey is the context key of the name that a sender proved.
type userKey struct{}

// identifying returns a server interceptor that adds the sender's name to the context.
func identifying() oslorpc.Interceptor {
	return oslorpc.Interceptor{Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
		return context.WithValue(ctx, userKey{}, provedBy(m.Peer.TLS)), nil
	}}
}

// provedBy returns the name in the peer's certificate.
func provedBy(state *tls.ConnectionState) string {
	if state == nil || len(state.VerifiedChains) == 0 {
		return ""
	}
	return strings.Join(state.PeerCertificates[0].DNSNames, " ")
}

// errForget makes an interceptor end without calling next.
var errForget = errors.New("forget")

// refusing returns an interceptor that refuses messages as the fleet's refuse function says.
func (f *fleet) refusing(process string) oslorpc.Interceptor {
	ask := func(at point, m *rpc.Message) error {
		if refuse := f.refuse.Load(); refuse != nil {
			return (*refuse)(at, process, m)
		}
		return nil
	}
	around := func(at point) func(context.Context, *rpc.Message, rpc.Next) error {
		return func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			switch err := ask(at, m); {
			case errors.Is(err, errForget):
				return nil
			case err != nil:
				return err
			}
			return next(ctx)
		}
	}
	return oslorpc.Interceptor{
		Send: around(send), Attempt: around(attempt), Run: around(run),
		Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
			err := ask(accept, m)
			if errors.Is(err, errForget) {
				return nil, nil //nolint:nilnil // This is the mistake.
			}
			return ctx, err
		},
	}
}

// setRefuse makes the fleet refuse messages. If refuse is nil, it refuses none.
func (f *fleet) setRefuse(refuse func(at point, process string, m *rpc.Message) error) {
	if refuse == nil {
		f.refuse.Store(nil)
		return
	}
	f.refuse.Store(&refuse)
}

// inventory has the dynamic and typed methods of a server. They record that they ran.
type inventory struct {
	v1.UnimplementedInventoryServiceServer

	name    string
	journal *journal
}

func (i *inventory) ran(ctx context.Context) {
	m := oslorpc.MessageFrom(ctx)
	i.journal.begin(ctx, method, i.name, m)(nil)
}

// dynamic returns the dynamic methods.
func (i *inventory) dynamic() any { return dynamic{i} }

type dynamic struct{ inventory *inventory }

// Whoami returns the name of the server.
func (d dynamic) Whoami(ctx context.Context) (string, error) {
	d.inventory.ran(ctx)
	return d.inventory.name, nil
}

// Note does nothing.
func (d dynamic) Note(ctx context.Context) error {
	d.inventory.ran(ctx)
	return nil
}

// Count yields 1 to 3.
func (d dynamic) Count(ctx context.Context) iter.Seq2[int, error] {
	d.inventory.ran(ctx)
	return func(yield func(int, error) bool) {
		for n := 1; n <= 3 && yield(n, nil); n++ {
		}
	}
}

// Block returns when its caller leaves.
func (d dynamic) Block(ctx context.Context) error {
	d.inventory.ran(ctx)
	<-ctx.Done()
	return ctx.Err()
}

// GetVolume is a call.
func (i *inventory) GetVolume(ctx context.Context, _ *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	i.ran(ctx)
	return &v1.GetVolumeResponse{Name: i.name}, nil
}

// ReportUsage is called as a cast.
func (i *inventory) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	i.ran(ctx)
	return &emptypb.Empty{}, nil
}

// InvalidateCache is called as a fanout.
func (i *inventory) InvalidateCache(ctx context.Context, _ *v1.InvalidateCacheRequest) (*emptypb.Empty, error) {
	i.ran(ctx)
	return &emptypb.Empty{}, nil
}

// WatchVolumes sends three items.
func (i *inventory) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	i.ran(stream.Context())
	for range 3 {
		if err := stream.Send(&v1.WatchVolumesResponse{Name: i.name}); err != nil {
			return err
		}
	}
	return nil
}

// ImportVolumes accepts any number of messages.
func (i *inventory) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	i.ran(stream.Context())
	for n := int64(0); ; n++ {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: n})
		} else if err != nil {
			return err
		}
	}
}

// SyncVolumes answers each message.
func (i *inventory) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	i.ran(stream.Context())
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
