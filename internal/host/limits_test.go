package host

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/oslorpc/oslorpc/internal/limits/limitstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// limited returns the address of a server whose host has limits.
func limited(t *testing.T, l rpc.Limits) string {
	t.Helper()
	h := newHost(t, newRegistry())
	h.config.Limits = l.WithDefaults()
	s := newServer(h, "host1", unchanged)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	return i.Addr
}

// attacker connects to a server.
func attacker(t *testing.T, addr string, reads bool) *limitstest.Client {
	t.Helper()
	c, err := limitstest.Dial(addr, reads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const (
	callPath = "/oslorpc.v1.RPCService/Call"
	patience = 10 * time.Second
)

// Headers beyond the limit are refused before a program sees them, and headers up to the limit are
// not. Headers far beyond it may end the connection.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	addr := limited(t, rpc.Limits{})
	for _, test := range []struct {
		kilobytes int
		refused   bool
	}{{15, false}, {17, true}, {1000, true}} {
		c := attacker(t, addr, true)
		id, err := c.Open(callPath, slices.Repeat([]string{"x", strings.Repeat("x", 1<<10-33)}, test.kilobytes)...)
		if err == nil {
			err = c.Send(id, nil, true)
		}
		var end limitstest.End
		if err == nil {
			end, err = c.Await(id, patience)
		}
		if refused := err != nil || end.IsReset; refused != test.refused {
			t.Errorf("headers of %d KiB: %+v, %v", test.kilobytes, end, err)
		}
	}
}

// A connection has no more streams than the limit.
func TestStreamsOfAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	c := attacker(t, limited(t, rpc.Limits{Streams: 5}), true)
	for n := range 10 {
		id, err := c.Open(callPath)
		if err != nil {
			t.Fatal(err)
		}
		if n < 5 {
			continue
		}
		if end, err := c.Await(id, patience); err != nil || end.Reset != http2.ErrCodeRefusedStream {
			t.Errorf("stream %d: %+v, %v", n, end, err)
		}
	}
	if c.MaxStreams() != 5 {
		t.Errorf("the server says that it takes %d streams", c.MaxStreams())
	}
}

// A connection that does not greet is closed when the time for it is over, whatever it sends.
func TestHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	addr := limited(t, rpc.Limits{Handshake: 50 * time.Millisecond})
	for _, says := range []string{"", http2.ClientPreface[:10], http2.ClientPreface, http2.ClientPreface + "\x00\x00"} {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Errorf("after %q, the connection stays open", says)
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // The connection returns it as it is.
	return ok && e.Timeout()
}
