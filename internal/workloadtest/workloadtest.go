// Package workloadtest is a SPIFFE Workload API for tests. It speaks the protocol of SPIRE's agent,
// and returns what a test sets.
package workloadtest

import (
	"context"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/tlstest"
)

// API is a Workload API for one program. It is safe for concurrent use.
type API struct {
	workload.UnimplementedSpiffeWorkloadAPIServer

	// Address is the address to configure in the program.
	Address string

	t      testing.TB
	path   string
	server *grpc.Server
	ended  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed when the fields below change
	gives   *workload.X509SVIDResponse
	denies  error
	asked   int
}

// New starts an API that does not return a certificate yet.
func New(t testing.TB) *API {
	t.Helper()
	dir, err := os.MkdirTemp("", "spiffe") //nolint:usetesting // t.TempDir is too long for a socket.
	if err != nil {
		t.Fatal(err)
	}
	a := &API{t: t, path: filepath.Join(dir, "s"), changed: make(chan struct{}), denies: status.Error(codes.PermissionDenied, "no identity issued")}
	a.Address = "unix://" + a.path
	a.Start()
	t.Cleanup(func() {
		a.Stop()
		_ = os.RemoveAll(dir)
	})
	return a
}

// Start makes the API listen again after Stop.
func (a *API) Start() {
	a.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	server, ended := grpc.NewServer(), make(chan struct{})
	a.server, a.ended = server, ended
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
}

// Stop ends the API like a crash of the agent. The API can be started again.
func (a *API) Stop() {
	a.server.Stop()
	<-a.ended
}

// Give sets the certificate, the authorities of its trust domain, and the authorities of other
// domains by name.
func (a *API) Give(c *tlstest.Certificate, own []*tlstest.Authority, others map[string]*tlstest.Authority) {
	a.t.Helper()
	_, key := c.PEM()
	block, _ := pem.Decode(key)
	r := &workload.X509SVIDResponse{
		Svids: []*workload.X509SVID{{
			SpiffeId: c.Leaf.URIs[0].String(), X509Svid: c.Leaf.Raw, X509SvidKey: block.Bytes, Bundle: raw(own...),
		}},
		FederatedBundles: map[string][]byte{},
	}
	for name, authority := range others {
		r.FederatedBundles["spiffe://"+name] = raw(authority)
	}
	a.change(r, nil)
}

// Deny ends the streams with a code. The API then returns this error until Give is called.
func (a *API) Deny(code codes.Code) { a.change(nil, status.Error(code, "no identity issued")) }

// Asked returns how many times a program sent a request.
func (a *API) Asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *API) change(gives *workload.X509SVIDResponse, denies error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gives, a.denies = gives, denies
	close(a.changed)
	a.changed = make(chan struct{})
}

func raw(authorities ...*tlstest.Authority) (all []byte) {
	for _, a := range authorities {
		block, _ := pem.Decode(a.PEM())
		all = append(all, block.Bytes...)
	}
	return all
}

// FetchX509SVID implements the Workload API.
func (a *API) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if values := metadata.ValueFromIncomingContext(stream.Context(), "workload.spiffe.io"); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	a.mu.Lock()
	a.asked++
	a.mu.Unlock()
	for {
		a.mu.Lock()
		gives, denies, changed := a.gives, a.denies, a.changed
		a.mu.Unlock()
		if denies != nil {
			return denies
		}
		if err := stream.Send(gives); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}
