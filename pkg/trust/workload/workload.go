// Package workload gets certificates and authorities from a SPIFFE Workload API, such as a SPIRE
// agent's, in place of files.
//
//	source, err := workload.Open(ctx, workload.Config{Address: "unix:///run/spire/agent.sock"})
//	...
//	defer source.Close()
//	t, err := oslorpc.Open(url, oslorpc.WithTrust(trust.Config{
//		Source: source, Identity: "spiffe://example.org/topic/{topic}/server/{server}",
//	}))
//
// A program that imports the package can also be configured without [Open]: with
// trust.Config.WorkloadAPI, with the parameter workload-api of the transport URL, or with the
// environment variable OSLORPC_WORKLOAD_API. Only programs that import the package link the library
// go-spiffe, which it uses. docs/security.md has the details.
package workload

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Config sets the address of the Workload API, and which trust domains are trusted. The zero value
// uses the address in the environment.
type Config struct {
	// Address is where the Workload API listens, such as unix:///run/spire/agent.sock or
	// tcp://127.0.0.1:8081. Empty means the address in the environment variable
	// SPIFFE_ENDPOINT_SOCKET.
	Address string
	// Domains are trust domains, in addition to the program's own, whose certificates are trusted,
	// such as partner.example. The Workload API must provide their authorities, so the program must
	// be registered there as federating with them. A certificate of another domain must have no
	// name except its SPIFFE ID. Nil means only the program's own trust domain.
	Domains []string
	// Log records when the certificate changes, and when the Workload API is unreachable. Nil means
	// [slog.Default].
	Log *slog.Logger

	retry time.Duration // of tests; 0 means retryTime
}

// retryTime is how long a source waits before the first retry at an unreachable Workload API.
const retryTime = time.Second

// maxRetries is the maximum wait, as a multiple of retryTime.
const maxRetries = 5

// Source implements [trust.Source] with the updates of a Workload API. It is safe for concurrent
// use.
type Source struct {
	config  Config
	domains []spiffeid.TrustDomain
	client  *workloadapi.Client
	current atomic.Pointer[trust.Material]

	cancel  context.CancelFunc
	running sync.WaitGroup
	first   chan struct{} // closed when there is a certificate

	mu      sync.Mutex
	fault   error // of the last time that the Workload API was asked; nil if it went well
	said    codes.Code
	missing map[spiffeid.TrustDomain]bool // was said to have no authorities
}

var _ trust.Source = (*Source)(nil)

// Open connects to the Workload API, and waits until it provides a certificate, or until ctx ends.
// An error is of the kind rpc.Invalid for an invalid configuration, and rpc.Unreachable if no
// certificate arrived in time.
func Open(ctx context.Context, c Config) (*Source, error) { //nolint:contextcheck // The source outlives ctx.
	if c.Address == "" {
		if c.Address = os.Getenv(workloadapi.SocketEnv); c.Address == "" {
			return nil, failure.Invalid("the Workload API has no address: set workload.Config.Address, or the environment variable %s", workloadapi.SocketEnv)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = lograte.New(c.Log)
	s := &Source{config: c, first: make(chan struct{}), missing: map[spiffeid.TrustDomain]bool{}}
	for _, name := range c.Domains {
		d, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, failure.Invalid("%q is not a trust domain, such as partner.example: %v", name, err)
		}
		s.domains = append(s.domains, d)
	}
	var life context.Context
	life, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.client, err = s.dial(life); err != nil { //nolint:contextcheck // The source outlives ctx.
		s.cancel()
		return nil, failure.Invalid("the address %q of the Workload API is not valid: %v: give one such as unix:///run/spire/agent.sock", c.Address, err)
	}
	s.running.Go(func() { s.follow(life) })
	select {
	case <-s.first:
		return s, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	fault := cmp.Or(s.fault, ctx.Err())
	s.mu.Unlock()
	_ = s.Close()
	return nil, &rpc.Error{
		Kind: rpc.Unreachable, Cause: fault, NotStarted: true,
		Message: "the Workload API at " + c.Address + " gave no certificate in time: " + plain(fault) +
			": check that its agent runs, that this program may open the socket, and that the program is registered",
	}
}

// plain returns the text of an error without the prefix that gRPC adds.
func plain(err error) string {
	if st, ok := status.FromError(err); ok {
		return rpcstatus.Plain(st.Message())
	}
	return err.Error()
}

func (s *Source) dial(ctx context.Context) (*workloadapi.Client, error) {
	first := cmp.Or(s.config.retry, retryTime)
	reconnect := backoff.Config{BaseDelay: first, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRetries * first}
	return workloadapi.New(ctx, workloadapi.WithAddr(s.config.Address), workloadapi.WithBackoffStrategy(retries(first)),
		workloadapi.WithDialOptions(grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}), grpc.WithIdleTimeout(0)))
}

// follow receives the updates of the Workload API until ctx ends. It restarts the library's watch
// when the watch ends because of errors.
func (s *Source) follow(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.client.WatchX509Context(ctx, (*watcher)(s))
		select {
		case <-time.After(cmp.Or(s.config.retry, retryTime)):
		case <-ctx.Done():
		}
	}
}

// Material implements [trust.Source]. While the Workload API is unreachable, it returns the last
// material, even if the certificate has expired.
func (s *Source) Material() *trust.Material { return s.current.Load() }

// Close ends the connection to the Workload API. Material that the source has returned stays
// usable.
func (s *Source) Close() error {
	s.cancel()
	s.running.Wait()
	return s.client.Close()
}

// watcher adapts a source to the library's interface.
type watcher Source

// OnX509ContextUpdate applies an update of the Workload API. Each update is complete.
func (w *watcher) OnX509ContextUpdate(c *workloadapi.X509Context) {
	s, svid := (*Source)(w), c.DefaultSVID()
	own := svid.ID.TrustDomain()
	bundles := map[spiffeid.TrustDomain]*x509bundle.Bundle{}
	for _, d := range append([]spiffeid.TrustDomain{own}, s.domains...) {
		if b, has := c.Bundles.Get(d); has && !b.Empty() {
			bundles[d] = b
		}
	}
	if bundles[own] == nil {
		w.OnX509ContextWatchError(errors.New("it gives no authorities for the trust domain " + own.Name()))
		return
	}
	certificate := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, one := range svid.Certificates {
		certificate.Certificate = append(certificate.Certificate, one.Raw)
	}
	v := &verifier{own: own, bundles: x509bundle.NewSet(slices.Collect(maps.Values(bundles))...)}
	before := s.current.Swap(&trust.Material{Certificate: certificate, Verify: v.verify})
	if before == nil || !before.Certificate.Leaf.Equal(certificate.Leaf) {
		s.config.Log.Info("the Workload API gave a certificate", "id", svid.ID.String(), "expires", expiry(certificate))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.said = nil, codes.OK
	s.sayMissing(bundles)
	if before == nil {
		close(s.first)
	}
}

func expiry(c *tls.Certificate) string { return c.Leaf.NotAfter.UTC().Format(time.RFC3339) }

// sayMissing logs which trust domains have no authorities. The caller holds the lock.
func (s *Source) sayMissing(bundles map[spiffeid.TrustDomain]*x509bundle.Bundle) {
	for _, d := range s.domains {
		missing := bundles[d] == nil
		if missing && !s.missing[d] {
			s.config.Log.Warn("the Workload API gives no authorities for a trust domain, so no program of it is trusted: "+
				"register this program as one that federates with it", "trust_domain", d.Name())
		}
		s.missing[d] = missing
	}
}

// OnX509ContextWatchError handles a failed update. The last material stays in use.
func (w *watcher) OnX509ContextWatchError(err error) {
	s, code := (*Source)(w), status.Code(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
	m := s.current.Load()
	if code == s.said || code == codes.Canceled || m == nil { // Open says why there is nothing
		return
	}
	s.said = code
	text := "the Workload API is away; the certificate and the authorities stay in use"
	if code == codes.PermissionDenied {
		text = "the Workload API gives this program no certificate any more: is it still registered? The last one stays in use until it expires"
	}
	s.config.Log.Error(text, "error", plain(err), "expires", expiry(m.Certificate))
}

// retries implements the library's backoff. Its value is the wait before the first retry.
type retries time.Duration

// NewBackoff implements [workloadapi.BackoffStrategy].
func (r retries) NewBackoff() workloadapi.Backoff { return &retry{first: time.Duration(r)} }

type retry struct {
	first time.Duration
	n     int
}

// Next implements [workloadapi.Backoff].
func (r *retry) Next() time.Duration {
	r.n = min(r.n+1, maxRetries)
	return time.Duration(r.n) * r.first
}

// Reset implements [workloadapi.Backoff].
func (r *retry) Reset() { r.n = 0 }
