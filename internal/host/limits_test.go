package host

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/oslorpc/oslorpc/internal/limits/limitstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// limited returns the address of a server whose host has limits.
func limited(t *testing.T, l rpc.Limits) string {
	t.Helper()
	h := newHost(t, newHandle())
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

// Headers beyond the limit are refused before a program sees them. Headers up to the limit are not.
// Headers far beyond it may close the connection.
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

// A connection has no more streams than the limit allows.
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

// A connection that does not greet is closed when the time limit is over, whatever it sends.
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

// A request that is not finished in time is reset, and so is a request that arrives too slowly.
// Other requests on the connection go on.
func TestUnfinishedRequestsAreReset(t *testing.T) {
	t.Parallel()
	c := attacker(t, limited(t, rpc.Limits{Progress: 100 * time.Millisecond}), true)
	for _, part := range []int{1, 5, 6, 70_000} {
		id, err := c.Open(callPath)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(id, append(limitstest.Prefix(100_000), make([]byte, 100_000)...)[:part], false); err != nil {
			t.Fatal(err)
		}
		if end, err := c.Await(id, patience); err != nil || end.Reset != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("after %d bytes: %+v, %v", part, end, err)
		}
	}
	id, err := c.Request(callPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	if end, err := c.Await(id, patience); err != nil || end.IsReset {
		t.Errorf("a later request: %+v, %v", end, err)
	}
}

// A connection that stops within a frame is closed.
func TestUnfinishedFrameEndsConnection(t *testing.T) {
	t.Parallel()
	c := attacker(t, limited(t, rpc.Limits{Progress: 100 * time.Millisecond}), true)
	if _, err := c.Conn.Write([]byte{0, 0, 8, byte(http2.FramePing), 0, 0, 0, 0, 0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Await(1, patience); err == nil || strings.Contains(err.Error(), "goes on") {
		t.Errorf("the connection: %v", err)
	}
}

// Large requests of one caller that exceed its share of the memory together all pass one after the
// other.
func TestBurstOfLargeRequestsIsSlowed(t *testing.T) {
	t.Parallel()
	addr := limited(t, rpc.Limits{MessageSize: 1 << 20, Memory: 4 << 20})
	var sending sync.WaitGroup
	for range 3 {
		c := attacker(t, addr, true)
		for range 20 {
			sending.Go(func() {
				id, err := c.Request(callPath, make([]byte, 900_000))
				if err != nil {
					t.Error(err)
					return
				}
				if end, err := c.Await(id, patience); err != nil || end.IsReset {
					t.Errorf("%+v, %v", end, err)
				}
			})
		}
	}
	sending.Wait()
}

// A full server closes the oldest silent connection for a new one, and keeps connections that have
// greeted.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	c := trackConns(l, 2, func(string) { refused++ })
	defer c.Close()
	accept := func() (theirs net.Conn) {
		theirs, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theirs.Close() })
		return theirs
	}
	take := func() *acceptedConn {
		conn, err := c.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn.(*acceptedConn)
	}
	accept()
	greeted := take()
	greeted.OnClose(func() {})
	silent := accept()
	take()
	accept()
	take()
	if _, err := silent.Read(make([]byte, 1)); err == nil || refused != 1 {
		t.Errorf("the silent connection: %v, %d refused", err, refused)
	}
	if !c.conns[greeted] {
		t.Error("a connection that greeted had to go")
	}
}
