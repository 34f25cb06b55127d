package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// socket returns an address of a Unix socket that is short enough for the system.
func socket(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return "unix:" + filepath.Join(dir, name)
}

func TestUnixSockets(t *testing.T) {
	for _, name := range []string{"plain", "with space", "100%", "50%25", "what?", "a#b", "a&b=c;d", "ünï"} {
		t.Run(name, func(t *testing.T) {
			process := start(t, socket(t, name))
			close(process.release)
			p := get(t, process.addr)
			connect(t, p)
			if err := call(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAddressReachesTheDialerAsItIs checks addresses with special characters: gRPC parses targets
// as URLs.
func TestAddressReachesTheDialerAsItIs(t *testing.T) {
	for _, addr := range []string{"host:1", "192.0.2.1:1", "[2001:db8::1]:1", "[fe80::1%eth0]:1", "unix:/a b", "unix:/a%20b", "unix:/a?b#c"} {
		t.Run(addr, func(t *testing.T) {
			dialed := make(chan string, 100)
			p := get(t, addr, grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
				dialed <- addr
				return nil, net.ErrClosed
			}))
			_ = p.Connect(t.Context())
			if got := <-dialed; got != addr {
				t.Errorf("dialed %q", got)
			}
		})
	}
}

// authority returns the authority by which a peer with these options addresses a server.
func authority(t *testing.T, addr string, options ...grpc.DialOption) string {
	t.Helper()
	called := make(chan string, 1)
	process := start(t, addr, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		called <- md.Get(":authority")[0]
		return nil
	}))
	p := get(t, process.addr, options...)
	_ = call(t.Context(), p) // the server answers nothing
	select {
	case name := <-called:
		return name
	default:
		t.Fatal("the server was not called")
		return ""
	}
}

func TestAuthority(t *testing.T) {
	if got := authority(t, socket(t, "s")); got != "localhost" {
		t.Errorf("over a unix socket it is %q: a path is no name of a host", got)
	}
	mine := grpc.WithAuthority("mine.example")
	for _, addr := range []string{"127.0.0.1:0", socket(t, "s")} {
		if got := authority(t, addr, mine); got != "mine.example" {
			t.Errorf("at %s it is %q; the options of the user win", addr, got)
		}
	}
}

// TestTLS uses credentials that name the server, and that allow no other authority.
func TestTLS(t *testing.T) {
	server, client := certificate(t, "fleet.example")
	for _, addr := range []string{"127.0.0.1:0", socket(t, "tls")} {
		process := start(t, addr, grpc.Creds(server))
		close(process.release)
		p := get(t, process.addr, grpc.WithTransportCredentials(client))
		connect(t, p)
		if err := call(t.Context(), p); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// certificate returns credentials of a server with that name, and of a client that trusts the
// server.
func certificate(t *testing.T, name string) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(parsed)
	server = credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return server, credentials.NewTLS(&tls.Config{RootCAs: trusted, ServerName: name})
}
