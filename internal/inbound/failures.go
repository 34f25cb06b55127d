package inbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// failureInterval is the minimum time between two log lines about the same reason.
const failureInterval = 10 * time.Second

// failures logs failed handshakes: one line for each reason and interval. It is safe for concurrent
// use.
type failures struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]*failure // by advice, of which there are few
}

// failure counts failures with the same reason.
type failure struct {
	logged time.Time
	more   int // since it was logged
}

func newFailures(log *slog.Logger) *failures {
	return &failures{log: log, seen: map[string]*failure{}}
}

// add counts a failed handshake and logs it if it is due. Connections that end before a handshake
// do not count, because monitoring opens them to check the address.
func (f *failures) add(raw net.Conn, err error) {
	advice := adviceOn(err)
	if advice == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.seen[advice]
	if last == nil {
		last = &failure{}
		f.seen[advice] = last
	}
	if more, ok := last.isDue(time.Now()); ok {
		f.log.Warn("a client failed the TLS handshake", "address", raw.RemoteAddr().String(), "reason", err, "advice", advice, "more_since_last", more)
	}
}

// isDue counts a failure. Due says whether to log it, and more how many were not logged since the
// last log line.
func (f *failure) isDue(now time.Time) (more int, due bool) {
	if now.Sub(f.logged) < failureInterval {
		f.more++
		return 0, false
	}
	more = f.more
	f.logged, f.more = now, 0
	return more, true
}

// adviceOn returns the advice on a failed handshake, empty if there is none.
func adviceOn(err error) string {
	const clientCert = "check the cert of that client (its --cert, OSLORPC_CERT, ?cert=)"
	var (
		plaintext tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		alert     *net.OpError
	)
	switch {
	case errors.As(err, &plaintext):
		return "the client connects in plaintext, and this server requires TLS: give it the ca (--ca, OSLORPC_CA, ?ca=)"
	case errors.As(err, &authority):
		return clientCert + ", and the ca of this server (--ca), which signed another"
	case errors.As(err, &invalid):
		return clientCert + ", and the clocks of both hosts"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the client refused this server: check the cert of this server (--cert), and the ca and server-name of that client (its --ca, --server-name)"
	case strings.Contains(err.Error(), "didn't provide a certificate"): // crypto/tls has no other sign of it
		return clientCert + ": it has none, or none that the ca of this server (--ca) signed"
	case isLoss(err):
		return ""
	default:
		return clientCert + ", and its version of TLS"
	}
}

// isLoss reports whether a handshake failed because the connection ended, or because it took too
// long.
func isLoss(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
