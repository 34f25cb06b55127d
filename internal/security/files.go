package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/pkg/trust"
)

// snapshot has the certificate and the authorities for new connections. It is immutable.
type snapshot struct {
	// epoch is higher than the epoch of the snapshot before.
	epoch       uint64
	authorities *authorities // nil for the system's
	pair        *pair        // nil without a certificate
	// sourced is true for a snapshot of a source. Material is what the source returned; nil if it
	// had nothing.
	sourced  bool
	material *trust.Material
}

// roots returns the authorities to trust, or nil for the system's.
func (s *snapshot) roots() *x509.CertPool {
	if s.authorities == nil {
		return nil
	}
	return s.authorities.roots
}

func (s *snapshot) certificates() []tls.Certificate {
	if s.pair == nil {
		return nil
	}
	return []tls.Certificate{s.pair.certificate}
}

// files are the files of a configuration, with the content that was last read. They are read again
// regularly: watching directories misses changes on network file systems, and sees an update by
// Kubernetes as a chain of renamed links. It is safe for concurrent use.
type files struct {
	ca, cert, key file // path is empty if it is not configured
	log           *slog.Logger
	current       atomic.Pointer[snapshot]

	mu     sync.Mutex // held while files are read
	looked time.Time
	// authoritiesFault and pairFault are the current faults of the authorities and of the pair.
	authoritiesFault, pairFault fault
	expired                     *pair // the pair whose expiry was logged
}

// freshTime is how old the content may be when a connection is made. Older files are read again
// first.
const freshTime = 100 * time.Millisecond

// replaceTime is how long a program may take to replace a certificate and its key, one after the
// other, while another program opens them.
const replaceTime = 500 * time.Millisecond

// openFiles reads the files of a configuration.
func openFiles(c *trust.Config, origins map[string]string, log *slog.Logger) (*files, error) {
	f := &files{
		ca: file{c.CA, origins["ca"]}, cert: file{c.Cert, origins["cert"]}, key: file{c.Key, origins["key"]},
		log: log, looked: time.Now(),
	}
	s := &snapshot{epoch: 1}
	var err error
	if s.authorities, err = f.readAuthorities(nil); err != nil {
		return nil, err
	}
	s.pair, err = f.readPair(nil)
	for end := time.Now().Add(replaceTime); errors.Is(err, errMismatch) && time.Now().Before(end); s.pair, err = f.readPair(nil) {
		time.Sleep(replaceTime / 20)
	}
	if err != nil {
		return nil, err
	}
	f.current.Store(s)
	return f, nil
}

// readAuthorities returns the authorities in the CA file. It returns before if the file did not
// change.
func (f *files) readAuthorities(before *authorities) (*authorities, error) {
	if f.ca.path == "" {
		return nil, nil //nolint:nilnil // The system has them.
	}
	text, err := f.ca.read()
	if err != nil {
		return nil, err
	}
	if before != nil && slices.Equal(text, before.text) {
		return before, nil
	}
	return f.ca.parseAuthorities(text, time.Now())
}

// readPair returns the certificate and its key. It returns before if the files did not change.
func (f *files) readPair(before *pair) (*pair, error) {
	if f.cert.path == "" {
		return nil, nil //nolint:nilnil // There is none.
	}
	cert, err := f.cert.read()
	if err != nil {
		return nil, err
	}
	key, err := f.key.read()
	if err != nil {
		return nil, err
	}
	if before != nil && slices.Equal(cert, before.cert) && slices.Equal(key, before.key) {
		return before, nil
	}
	return parsePair(f.cert, f.key, cert, key, time.Now())
}

// last implements [holder].
func (f *files) last() *snapshot { return f.current.Load() }

// look reads the files again. If a file is broken, its previous content stays in use. It reports
// whether anything changed.
func (f *files) look() (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, before := time.Now(), f.current.Load()
	f.looked = now
	next := &snapshot{epoch: before.epoch + 1, authorities: before.authorities, pair: before.pair}
	read, err := f.readAuthorities(before.authorities)
	if f.authoritiesFault.note(f.log, err) {
		next.authorities = read
	}
	readPair, err := f.readPair(before.pair)
	if f.pairFault.note(f.log, err) {
		next.pair = readPair
	}
	f.sayExpired(next.pair, now)
	if next.authorities == before.authorities && next.pair == before.pair {
		return false
	}
	if next.authorities != before.authorities {
		f.log.Info("authorities were read again", "file", f.ca.path)
	}
	if next.pair != before.pair {
		f.log.Info("the certificate was read again", "file", f.cert.path, "expires", utc(next.pair.certificate.Leaf.NotAfter))
	}
	f.current.Store(next)
	return true
}

// fresh returns the snapshot for a new connection.
func (f *files) fresh() *snapshot {
	f.mu.Lock()
	old := time.Since(f.looked) > freshTime
	f.mu.Unlock()
	if old {
		f.look()
	}
	return f.current.Load()
}

// sayExpired logs that a certificate has expired, once for each certificate.
func (f *files) sayExpired(p *pair, now time.Time) {
	if p == nil || p == f.expired || !now.After(p.certificate.Leaf.NotAfter) {
		return
	}
	f.expired = p
	f.log.Error("the certificate of this program expired: other programs refuse its connections until the file has a new one",
		"file", f.cert.path, "expired", utc(p.certificate.Leaf.NotAfter))
}

// faultTime is how long files may contradict each other while a program replaces them.
const faultTime = time.Second

// fault is an error of a file.
type fault struct {
	text  string
	since time.Time
	said  bool
}

// note handles the result of reading a file, and reports whether it succeeded. It logs an error
// once, if it lasts for faultTime.
func (f *fault) note(log *slog.Logger, err error) bool {
	if err == nil {
		*f = fault{}
		return true
	}
	if f.since.IsZero() {
		f.since = time.Now()
	}
	if text := err.Error(); text != f.text {
		f.text, f.said = text, false
	}
	if !f.said && time.Since(f.since) >= faultTime {
		f.said = true
		log.Error("a file changed and cannot be used; its previous content stays in use", "error", f.text)
	}
	return false
}
