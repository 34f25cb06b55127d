package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// trusting returns TLS credentials of a client whose server does not speak TLS.
func trusting() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{ServerName: "fleet.example"})
}

// closing returns an address that closes each connection as soon as it has read something.
func closing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1000))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

func speaksHTTP(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func speaksTLS(t *testing.T) string {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// wordless returns an address that speaks TLS, and closes other connections without an alert.
func wordless(t *testing.T) string {
	t.Helper()
	server, _ := certificate(t, "fleet.example")
	return start(t, "127.0.0.1:0", grpc.Creds(server)).addr
}

func TestExplain(t *testing.T) {
	inClear := Config{}
	for name, tt := range map[string]struct {
		addr   func(*testing.T) string
		config Config
		want   string
		absent bool
		kind   rpc.Kind
	}{
		"nothing listens": {unused, inClear, "server v2 cannot be reached: nothing listens at ADDR; the process is probably dead", true, rpc.Unreachable},
		"nothing listens, and Consul notices soon": {
			unused, Config{Expiry: 15 * time.Second},
			"server v2 cannot be reached: nothing listens at ADDR; the process is probably dead, and its registration expires within 15s", true, rpc.Unreachable,
		},
		"no such socket": {func(t *testing.T) string { return socket(t, "s") }, inClear, "server v2 cannot be reached: nothing listens at ADDR;", true, rpc.Unreachable},
		"a hung process": {blackHole, inClear, "server v2 at ADDR accepts connections but sends nothing; its process may be hung", false, rpc.Unreachable},
		"a hung process that is to speak TLS": {
			blackHole, Config{Credentials: trusting()}, "server v2 at ADDR accepts connections but sends nothing; its process may be hung", false, rpc.Unreachable,
		},
		"it hangs up": {closing, inClear, "server v2 at ADDR closed the connection during the handshake; if it requires TLS, check ca", false, rpc.Unreachable},
		"an HTTP server": {
			speaksHTTP, inClear, "server v2 at ADDR answers with something other than gRPC; another program may have the address, or it requires TLS: check ca", false, rpc.Unreachable,
		},
		"a TLS port":                     {speaksTLS, inClear, "server v2 at ADDR requires TLS, and this client connects in plaintext", false, rpc.Untrusted},
		"a TLS port that says nothing":   {wordless, inClear, "server v2 at ADDR requires TLS, and this client connects in plaintext", false, rpc.Untrusted},
		"it hangs up in a TLS handshake": {closing, Config{Credentials: trusting()}, "server v2 at ADDR closed the connection during the handshake", false, rpc.Unreachable},
		"no TLS": {
			func(t *testing.T) string { return start(t, "127.0.0.1:0").addr }, Config{Credentials: trusting()},
			"server v2 at ADDR does not speak TLS, and this client requires it", false, rpc.Untrusted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := tt.addr(t)
			p := getWith(t, addr, tt.config)
			_ = p.Connect(t.Context())
			await(t, p, carrier.Down)
			kind, got := p.Explain("v2", errors.New("something"))
			if kind != tt.kind {
				t.Errorf("it is %v, want %v", kind, tt.kind)
			}
			if want := strings.ReplaceAll(tt.want, "ADDR", addr); !strings.HasPrefix(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.HasSuffix(got, "something") {
				t.Errorf("it does not say what is wrong: %s", got)
			}
			if p.Absent() != tt.absent {
				t.Errorf("absent: %v", p.Absent())
			}
			t.Log(got)
		})
	}
}

func TestNamesInSentences(t *testing.T) {
	p := newPeer(carrier.Key{Addr: "h:1"}, nil)
	for server, want := range map[string]string{"": "the server at h:1 ", "node1": "server node1 at h:1 ", "a b\n": `server "a b\n" at h:1 `} {
		if _, got := p.Explain(server, errors.New("x")); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", server, got)
		}
	}
}

// An attempt that the caller's deadline ended says nothing about the process.
func TestConnectingThatTookTooLong(t *testing.T) {
	p := newPeer(carrier.Key{Addr: "h:1"}, nil)
	for _, err := range []error{context.DeadlineExceeded, fmt.Errorf("no server took the call: %w", context.DeadlineExceeded)} {
		kind, got := p.Explain("v2", err)
		want := "server v2 at h:1 could not be connected to in time; its process may be hung, or the network may not reach it"
		if kind != rpc.Unreachable || got != want {
			t.Errorf("%v: %s", kind, got)
		}
	}
}
