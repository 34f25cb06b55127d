package demo

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// callers is how many goroutines call while certificates are replaced.
const callers = 8

func (f *secured) showRotation(ctx context.Context) error {
	f.heading("A new authority, and new certificates for all, while eight callers call. No process is restarted")
	load, err := f.call(ctx)
	if err != nil {
		return err
	}
	defer load.stop()
	if err := load.until(ctx, func(string) bool { return true }); err != nil {
		return err
	}
	serials, err := f.rotate()
	if err != nil {
		return err
	}
	if err := load.until(ctx, func(serial string) bool { return slices.Contains(serials, serial) }); err != nil {
		return err
	}
	calls, failures := load.stop()
	f.sayf("# %d calls, %d failed; all servers show their new certificates", calls, len(failures))
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d calls failed while certificates were replaced: %w", len(failures), calls, failures[0])
	}
	return nil
}

// rotate replaces the authority and all certificates. It returns the serial numbers of the new
// certificates.
func (f *secured) rotate() (serials []string, err error) {
	next, err := newAuthority()
	if err != nil {
		return nil, err
	}
	f.sayf("$ cat new-ca.pem >> ca.pem    # trust both authorities")
	if err := replace(f.dir, "ca.pem", slices.Concat(f.authority.pem(), next.pem())); err != nil {
		return nil, err
	}
	f.sayf("$ mv new/*.key new/*.pem .    # a new certificate for each program")
	for name, identity := range identities() {
		cert, err := next.issue(f.dir, name, identity)
		if err != nil {
			return nil, err
		}
		serials = append(serials, cert.SerialNumber.String())
	}
	f.sayf("$ mv new-ca.pem ca.pem        # distrust the old authority")
	f.authority = next
	return serials, replace(f.dir, "ca.pem", next.pem())
}

// load is a set of goroutines that send calls until stop is called.
type load struct {
	transport *oslorpc.Transport
	end       func()
	callers   sync.WaitGroup

	mu       sync.Mutex
	calls    int
	failures []error
	shown    map[string]string // the serial number of the certificate that each server showed last
	changed  chan struct{}
}

// call starts the callers.
func (f *secured) call(ctx context.Context) (*load, error) {
	l := &load{shown: map[string]string{}, changed: make(chan struct{}, 1)}
	if err := f.open(l); err != nil {
		return nil, err
	}
	ctx, l.end = context.WithCancel(ctx)
	c := l.transport.Client(oslorpc.Target{Topic: "payments"})
	for range callers {
		l.callers.Go(func() {
			for ctx.Err() == nil {
				_, err := oslorpc.Call[any](context.WithoutCancel(ctx), c, "whoami", nil)
				l.count(err)
			}
		})
	}
	return l, nil
}

// open opens the transport of a load, with the certificate of the user alice.
func (f *secured) open(l *load) (err error) {
	file := func(name string) string { return filepath.Join(f.dir, name) }
	l.transport, err = oslorpc.Open(f.url, oslorpc.WithInterceptors(oslorpc.Interceptor{Attempt: l.note}),
		oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithTrust(trust.Config{
			CA: file("ca.pem"), Cert: file("alice.pem"), Key: file("alice.key"), Identity: identityTemplate,
		}))
	return err
}

// note is an interceptor that records the serial number of the certificate of each server.
func (l *load) note(ctx context.Context, m *oslorpc.Message, next rpc.Next) error {
	err := next(ctx)
	if m.Peer.TLS == nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown[m.Server] = m.Peer.TLS.PeerCertificates[0].SerialNumber.String()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return err
}

func (l *load) count(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if err != nil {
		l.failures = append(l.failures, err)
	}
}

// until waits until wanted returns true for the serial number of every server's certificate.
func (l *load) until(ctx context.Context, wanted func(serial string) bool) error {
	for !l.show(wanted) {
		select {
		case <-l.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// show reports whether wanted returns true for the serial number of every server's certificate.
func (l *load) show(wanted func(serial string) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, node := range nodes {
		if serial := l.shown[node]; serial == "" || !wanted(serial) {
			return false
		}
	}
	return true
}

// stop stops the callers, and returns the number of calls and the failures.
func (l *load) stop() (calls int, failures []error) {
	l.end()
	l.callers.Wait()
	_ = l.transport.Close() // nothing uses it any more
	return l.calls, l.failures
}
