package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// holder has what new connections are made with: files, or a source. It is safe for concurrent use.
type holder interface {
	// look asks for what is new. It reports whether something changed.
	look() (changed bool)
	// fresh returns what to make a connection with now.
	fresh() *snapshot
	// last returns what the last look found.
	last() *snapshot
}

// sourced is a source, and what it last had.
type sourced struct {
	source  trust.Source
	log     *slog.Logger
	current atomic.Pointer[snapshot]

	mu      sync.Mutex // held while it is looked at
	expired *pair      // was said to have expired
}

func openSource(s trust.Source, log *slog.Logger) *sourced {
	opened := &sourced{source: s, log: log}
	opened.current.Store(&snapshot{sourced: true})
	opened.look()
	return opened
}

// look implements [holder].
func (s *sourced) look() (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, m := s.current.Load(), s.source.Material()
	if p := before.pair; p != nil && p != s.expired && time.Now().After(p.certificate.Leaf.NotAfter) {
		s.expired = p
		s.log.Error("the certificate of this program expired: other programs refuse its connections until its source gives a new one",
			"expired", utc(p.certificate.Leaf.NotAfter))
	}
	if m == before.material {
		return false
	}
	next := &snapshot{epoch: before.epoch + 1, sourced: true, material: m}
	if m == nil {
		m = &trust.Material{}
	}
	next.pair = pairOf(m.Certificate, before.pair)
	s.current.Store(next)
	return true
}

// pairOf returns a certificate of a source: before, if it is the same.
func pairOf(c *tls.Certificate, before *pair) *pair {
	switch {
	case c == nil || len(c.Certificate) == 0:
		return nil
	case before != nil && bytes.Equal(before.certificate.Certificate[0], c.Certificate[0]):
		return before
	}
	p := &pair{certificate: *c}
	if p.certificate.Leaf == nil {
		var err error
		if p.certificate.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil
		}
	}
	return p
}

// fresh implements [holder].
func (s *sourced) fresh() *snapshot {
	if s.source.Material() != s.current.Load().material {
		s.look()
	}
	return s.current.Load()
}

// last implements [holder].
func (s *sourced) last() *snapshot { return s.current.Load() }

// Several is a source with several certificates for servers.
type Several interface {
	// CertificateFor returns the certificate that a client asks for by a name, which may be empty;
	// nil for the usual one.
	CertificateFor(name string) *tls.Certificate
}

// Awaited is a source that may have nothing at first.
type Awaited interface {
	// Await waits until it has something. An error says why it has nothing: what it waits for was
	// refused, or ctx ended.
	Await(ctx context.Context) error
}

// NotReadyError means that a source has nothing to connect with yet.
type NotReadyError struct{ Err error }

// Error returns why.
func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *NotReadyError) Unwrap() error { return e.Err }

// choose returns the certificate of a source that a client asks for.
func (s *snapshot) choose(from Several, name string) (*tls.Certificate, error) {
	if c := from.CertificateFor(name); c != nil {
		return c, nil
	}
	if usual := s.certificates(); len(usual) > 0 {
		return &usual[0], nil
	}
	return nil, errNothing
}

// errNothing is the error for connections while a source has nothing.
var errNothing = errors.New("the source of certificates has none yet")

// verify verifies the certificate that the other end of a connection sent, whatever its names.
func (s *snapshot) verify(state *tls.ConnectionState, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	switch {
	case len(state.PeerCertificates) == 0:
		return nil, errors.New("it showed no certificate")
	case s.material != nil:
		return s.material.Verify(state.PeerCertificates, usage)
	case s.sourced:
		return nil, errNothing
	default:
		return verify(state, s.roots(), usage)
	}
}

// OpenWorkloadAPI opens a source at an address of a Workload API.
type OpenWorkloadAPI func(address string, log *slog.Logger) (source trust.Source, closed func(), err error)

var workloadAPI atomic.Pointer[OpenWorkloadAPI]

// UseWorkloadAPI has trust.Config.WorkloadAPI opened by a function. Package workload calls it.
func UseWorkloadAPI(open OpenWorkloadAPI) { workloadAPI.Store(&open) }

// openWorkloadAPI opens the source at an address. The origin is what gives the address.
func openWorkloadAPI(address, origin string, log *slog.Logger) (trust.Source, func(), error) {
	open := workloadAPI.Load()
	if open == nil {
		return nil, nil, failure.Invalid("%s: this program does not link the Workload API of SPIFFE: "+
			"import github.com/oslorpc/oslorpc/pkg/trust/workload in it, or use files", origin)
	}
	return (*open)(address, log)
}
