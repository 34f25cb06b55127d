package intruder

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
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

// fleet is two payment servers and a clerk that uses them, each a separate process for the others.
// The attacker has the certificate of printer-17.
type fleet struct {
	url       string
	authority *tlstest.Authority
	policy    string // the path of the file
	journal   journal
	log       log          // of the payment servers
	missed    atomic.Int32 // how often they were told that they missed messages
	servers   map[string]*oslorpc.Server
	clerk     *oslorpc.Client
	clerkLog  log
	clerks    *oslorpc.Transport
	stolen    trust.Config
	files     map[string]trust.Config // of programs, by the names in their certificates
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		url: "local://" + filepath.Join(t.TempDir(), "r"), authority: tlstest.New(t), policy: writePolicy(t),
		servers: map[string]*oslorpc.Server{}, files: map[string]trust.Config{},
	}
	for _, name := range []string{"payments-1", "payments-2"} {
		config := f.certificate(t, serverName("payments", name))
		config.Policy = &trust.Policy{File: f.policy}
		f.servers[name] = f.serve(t, f.open(t, config, &f.log), "payments", name)
	}
	f.clerks = f.open(t, f.certificate(t, clerk), &f.clerkLog, oslorpc.WithCallerName("clerk"))
	f.clerk = f.clerks.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(patience))
	f.stolen = f.certificate(t, agent)
	return f
}

// certificate returns the configuration of a program with a certificate for a name.
func (f *fleet) certificate(t *testing.T, name string) trust.Config {
	t.Helper()
	config := f.authority.Issue(tlstest.Subject{URIs: []string{name}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}).Write(t.TempDir())
	config.Identity = template
	f.files[name] = config
	return config
}

// callerConnections is how many connections one caller may have.
const callerConnections = 40

// open opens a transport of the fleet.
func (f *fleet) open(t *testing.T, config trust.Config, to *log, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open(f.url, append(options, oslorpc.WithTrust(config), oslorpc.WithListen("127.0.0.1:0"), oslorpc.WithStopGrace(0),
		oslorpc.WithLimits(rpc.Limits{CallerConnections: callerConnections}), oslorpc.WithLogger(slog.New(slog.NewJSONHandler(to, nil))))...)
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
func (f *fleet) serve(t *testing.T, transport *oslorpc.Transport, topic, name string) *oslorpc.Server {
	t.Helper()
	s := transport.Server(oslorpc.Target{Topic: topic, Server: name},
		oslorpc.WithMissedMessages(func(context.Context, string) { f.missed.Add(1) }))
	v := &volumes{server: name, journal: &f.journal}
	s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(v.payments())})
	v1.RegisterInventoryServiceServer(s, v)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// instance returns a server as discovery knows it.
func (f *fleet) instance(server string) oslorpc.Instance {
	i, _ := f.servers[server].Instance()
	return i
}

// checkServes fails unless each server in turn serves the clerk.
func (f *fleet) checkServes(t *testing.T) {
	t.Helper()
	for _, name := range []string{"payments-1", "payments-2"} {
		got, err := oslorpc.Call[string](t.Context(), f.clerk.Prepare(oslorpc.WithServer(name)), "transfer", nil)
		if err != nil || got != name {
			t.Errorf("the clerk is not served by %s: %q, %v", name, got, err)
		}
	}
}

// volumes has the methods of a server. They record that they ran.
type volumes struct {
	v1.UnimplementedInventoryServiceServer

	server  string
	journal *journal
}

func (v *volumes) ran(ctx context.Context) {
	m := oslorpc.MessageFrom(ctx)
	v.journal.add(run{v.server, m.Method, m.Peer.Identity.String()})
}

func (v *volumes) payments() any { return payments{v} }

// payments are the dynamic methods.
type payments struct{ volumes *volumes }

// Transfer is allowed for clerks.
func (p payments) Transfer(ctx context.Context) (string, error) {
	p.volumes.ran(ctx)
	return p.volumes.server, nil
}

// Quote is also allowed for printers, as a call.
func (p payments) Quote(ctx context.Context) (string, error) {
	p.volumes.ran(ctx)
	return p.volumes.server, nil
}

// Report is also allowed for printers, as a cast.
func (p payments) Report(ctx context.Context) error {
	p.volumes.ran(ctx)
	return nil
}

// Wait is also allowed for printers. It returns when its caller leaves.
func (p payments) Wait(ctx context.Context) error {
	p.volumes.ran(ctx)
	<-ctx.Done()
	return ctx.Err()
}

// Rates yields rates.
func (p payments) Rates(ctx context.Context) iter.Seq2[int, error] {
	p.volumes.ran(ctx)
	return func(yield func(int, error) bool) { yield(1, nil) }
}

// GetVolume is also allowed for printers.
func (v *volumes) GetVolume(ctx context.Context, _ *v1.GetVolumeRequest) (*v1.GetVolumeResponse, error) {
	v.ran(ctx)
	return &v1.GetVolumeResponse{Name: v.server}, nil
}

// CreateVolume is allowed for clerks.
func (v *volumes) CreateVolume(ctx context.Context, _ *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	v.ran(ctx)
	return &v1.CreateVolumeResponse{}, nil
}

// ReportUsage is allowed for clerks, as a cast.
func (v *volumes) ReportUsage(ctx context.Context, _ *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	v.ran(ctx)
	return &emptypb.Empty{}, nil
}

// WatchVolumes is allowed for clerks.
func (v *volumes) WatchVolumes(_ *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	v.ran(stream.Context())
	return stream.Send(&v1.WatchVolumesResponse{Name: v.server})
}

// soon limits the time of an attempt of the attacker.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
