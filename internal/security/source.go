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

// holder keeps the certificate and the authorities for new connections, from files or from a
// source. It is safe for concurrent use.
type holder interface {
	// look reads the files or the source again, and reports whether anything changed.
	look() (changed bool)
	// fresh returns the snapshot for a new connection.
	fresh() *snapshot
	// last returns the snapshot that the last call of look made.
	last() *snapshot
}

// sourced is a holder for a source.
type sourced struct {
	source  trust.Source
	log     *slog.Logger
	current atomic.Pointer[snapshot]

	mu      sync.Mutex // held during look
	expired *pair      // the pair whose expiry was logged
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

// pairOf returns the pair for a certificate of a source, or nil if there is none. If the
// certificate is the same as in the previous pair, before, it returns before.
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

// Several is implemented by sources with several certificates for servers.
type Several interface {
	// CertificateFor returns the certificate for the server name that a client asks for, which may
	// be empty. It returns nil for the default certificate.
	CertificateFor(name string) *tls.Certificate
}

// Awaited is implemented by sources that may have no certificate at first.
type Awaited interface {
	// Await waits until the source has a certificate. An error says why it has none: the request
	// was refused, or ctx ended.
	Await(ctx context.Context) error
}

// NotReadyError means that a source has no certificate yet.
type NotReadyError struct{ Err error }

// Error implements error.
func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NotReadyError) Unwrap() error { return e.Err }

// choose returns the certificate for the server name that a client asks for.
func (s *snapshot) choose(from Several, name string) (*tls.Certificate, error) {
	if c := from.CertificateFor(name); c != nil {
		return c, nil
	}
	if usual := s.certificates(); len(usual) > 0 {
		return &usual[0], nil
	}
	return nil, errNothing
}

// errNothing is the error for connections while a source is empty.
var errNothing = errors.New("the source of certificates has none yet")

// verify verifies the certificate of the other end of a connection. It does not check names.
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

// UseWorkloadAPI sets the function that opens trust.Config.WorkloadAPI. Package workload calls it.
func UseWorkloadAPI(open OpenWorkloadAPI) { workloadAPI.Store(&open) }

// openWorkloadAPI opens the source at an address. Origin is the setting with the address.
func openWorkloadAPI(address, origin string, log *slog.Logger) (trust.Source, func(), error) {
	open := workloadAPI.Load()
	if open == nil {
		return nil, nil, failure.Invalid("%s: this program does not link the Workload API of SPIFFE: "+
			"import github.com/oslorpc/oslorpc/pkg/trust/workload in it, or use files", origin)
	}
	return (*open)(address, log)
}
