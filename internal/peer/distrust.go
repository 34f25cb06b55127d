package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/security"
)

// Advice at the end of errors. Each names a setting and, in brackets, its flag, environment
// variable and parameter of the transport URL.
const (
	lookAtCA     = "check ca (--ca, OSLORPC_CA, ?ca=)"
	lookAtCert   = "check cert and key (--cert, --key, OSLORPC_CERT, OSLORPC_KEY, ?cert=&key=)"
	lookAtServer = "check the certificate of that server (its --cert)"
	lookAtName   = "check server-name (--server-name, OSLORPC_SERVER_NAME, ?server-name=)"
)

// Texts for a connection on which only one end speaks TLS.
const (
	needsTLS   = "requires TLS, and this client connects in plaintext: " + lookAtCA
	speaksOpen = "does not speak TLS, and this client requires it: give that server a certificate (--cert, --key), " +
		"or check whether another program has the address"
)

// distrust returns why this client and a server do not trust each other, as the end of a sentence
// whose subject is the server. It returns an empty string if err has another cause, which may be
// temporary.
func distrust(err error) string {
	var (
		unsafe    *security.PlaintextError
		stranger  *security.StrangerError
		plaintext tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		withheld  *security.WithheldError
		remote    *net.OpError
		temporary interface{ Temporary() bool }
	)
	switch {
	case errors.As(err, &unsafe):
		return unsafe.Error()
	case errors.As(err, &stranger):
		return stranger.Error()
	case errors.As(err, &plaintext):
		return speaksOpen
	case errors.As(err, &authority):
		return fmt.Sprintf("has a certificate that no trusted authority signed (%s): %s, and %s", described(authority.Cert), lookAtCA, lookAtServer)
	case errors.As(err, &name):
		return fmt.Sprintf("has a certificate for %s, and %q is expected: %s, and %s", names(name.Certificate), name.Host, lookAtName, lookAtServer)
	case errors.As(err, &invalid):
		return invalidity(invalid)
	case errors.As(err, &remote) && remote.Op == "remote error":
		if errors.As(err, &withheld) && remote.Err.Error() == alertRequired.Error() {
			return alerted(alertAuthority)
		}
		return alerted(remote.Err)
	case errors.As(err, &temporary) && temporary.Temporary(), isLoss(err):
		return ""
	default:
		return fmt.Sprintf("cannot be trusted: %v; %s, and %s", err, lookAtCA, lookAtServer)
	}
}

// isLoss reports whether a handshake ended because the connection was lost.
func isLoss(err error) bool {
	var timeout interface{ Timeout() bool }
	_, system := errors.AsType[syscall.Errno](err)
	return system || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func invalidity(err x509.CertificateInvalidError) string {
	const clocks = "renew it, or correct the clock of this host"
	switch now := time.Now(); {
	case err.Cert == nil || err.Reason != x509.Expired:
		return fmt.Sprintf("has a certificate that cannot be used for a server: %v; %s", err, lookAtServer)
	case now.Before(err.Cert.NotBefore):
		return fmt.Sprintf("has a certificate that is not valid before %s (%s): %s; %s", stamp(err.Cert.NotBefore), described(err.Cert), clocks, lookAtServer)
	default:
		return fmt.Sprintf("has a certificate that expired at %s (%s): %s; %s", stamp(err.Cert.NotAfter), described(err.Cert), clocks, lookAtServer)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// The TLS alerts with which a server rejects its client in a handshake.
const (
	alertHandshake   tls.AlertError = 40
	alertBad         tls.AlertError = 42
	alertUnsupported tls.AlertError = 43
	alertRevoked     tls.AlertError = 44
	alertExpired     tls.AlertError = 45
	alertUnknown     tls.AlertError = 46
	alertAuthority   tls.AlertError = 48
	alertDenied      tls.AlertError = 49
	alertVersion     tls.AlertError = 70
	alertInternal    tls.AlertError = 80
	alertCanceled    tls.AlertError = 90
	alertName        tls.AlertError = 112
	alertRequired    tls.AlertError = 116
)

// alerted returns the meaning of a TLS alert from a server, as the end of a sentence whose subject
// is the server. It returns an empty string if the cause may be temporary. The error of a received
// alert has an unexported type, so alerted compares texts.
func alerted(alert error) string {
	is := func(some ...tls.AlertError) bool {
		for _, a := range some {
			if a.Error() == alert.Error() {
				return true
			}
		}
		return false
	}
	switch {
	case is(alertRequired):
		return "requires a certificate of its clients, and this client has none: " + lookAtCert
	case is(alertAuthority):
		return "does not trust the authority that signed the certificate of this client: " + lookAtCert + ", and the server's ca (its --ca)"
	case is(alertExpired):
		return "says that the certificate of this client expired, or is not valid yet: " + lookAtCert + ", and the clocks of both hosts"
	case is(alertBad, alertUnsupported, alertRevoked, alertUnknown, alertDenied):
		return fmt.Sprintf("refused the certificate of this client (%v): %s", alert, lookAtCert)
	case is(alertVersion):
		return "does not speak the versions of TLS that this client allows; oslorpc requires TLS 1.3: update that server"
	case is(alertName):
		return "has no certificate for the name that this client asks for: " + lookAtName
	case is(alertHandshake):
		return "refused the TLS handshake, perhaps since it requires a certificate of its clients: " + lookAtCert
	case is(alertInternal, alertCanceled): // the cause may be temporary
		return ""
	default:
		return fmt.Sprintf("refused the TLS handshake (%v): %s, and %s", alert, lookAtCA, lookAtCert)
	}
}

// described describes a certificate by its names and its issuer, for error texts.
func described(c *x509.Certificate) string {
	if c == nil {
		return "the certificate cannot be read"
	}
	if c.Issuer.String() == "" {
		return "it is for " + names(c)
	}
	return fmt.Sprintf("it is for %s, by %q", names(c), c.Issuer.String())
}

// names lists the first few names in a certificate, for error texts.
func names(c *x509.Certificate) string {
	const few = 4
	var list []string
	for _, u := range c.URIs {
		list = append(list, fmt.Sprintf("%q", u.String()))
	}
	for _, name := range c.DNSNames {
		list = append(list, fmt.Sprintf("%q", name))
	}
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	switch {
	case len(list) == 0:
		return "no name"
	case len(list) > few:
		list = append(list[:few], fmt.Sprintf("%d more", len(list)-few))
	}
	return strings.Join(list, ", ")
}

// probeTLSTime is how long a process has to answer the first message of a TLS handshake.
const probeTLSTime = 500 * time.Millisecond

// answersTLS reports whether the process at an address, which closes plaintext connections without
// a reply, answers in TLS. It sends only the first message of a handshake, so the process need not
// be trusted.
func answersTLS(ctx context.Context, dial func(context.Context, string) (net.Conn, error), addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTLSTime)
	defer cancel()
	conn, err := dial(ctx, addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	first := &firstRead{Conn: conn}
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}} //nolint:gosec // It ends before it proves anything.
	_ = tls.Client(first, config).HandshakeContext(ctx)                         // it fails: firstRead returns no data
	return isTLS(first.got)
}

// firstRead is a connection that keeps the first data that it receives, and returns io.EOF in place
// of all data.
type firstRead struct {
	net.Conn

	got []byte
}

// Read implements [net.Conn].
func (f *firstRead) Read(b []byte) (int, error) {
	n, _ := f.Conn.Read(b)
	f.got = bytes.Clone(b[:n])
	return 0, io.EOF
}
