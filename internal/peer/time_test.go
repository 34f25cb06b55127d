package peer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
)

// The tests of this file run in faked time, so sleeping takes no time.

// answer serves an address where RPCs end at once.
func answer(n *peertest.Network, addr string) (stop func()) {
	return n.Serve(addr, nil, grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil }))
}

func TestUnusedStaysIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		stop := answer(&n, "a")
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		stop()
		stop = answer(&n, "a")
		defer stop()
		synctest.Wait()
		time.Sleep(24 * time.Hour)
		if p.Health() != carrier.Idle || n.Dials("a") != 1 {
			t.Errorf("a day later the peer is %s after %d connections, want idle after 1", p.Health(), n.Dials("a"))
		}
	})
}

func TestQuietConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		defer answer(&n, "a")()
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		time.Sleep(24 * time.Hour)
		if p.Health() != carrier.Ready || n.Dials("a") != 1 {
			t.Errorf("a day later the peer is %s after %d connections, want ready after 1", p.Health(), n.Dials("a"))
		}
	})
}

// TestSlowBeginningIsNoLoss checks that the peer does not count as lost if the first state change
// of a connection is noticed late, as on a busy machine.
func TestSlowBeginningIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		defer answer(&n, "a")()
		p := getWith(t, "a", Config{Dial: n.Dial})
		conn, err := p.pool.dial(p.key, &p.sight)
		if err != nil {
			t.Fatal(err)
		}
		p.conn = conn // as Conn makes it, but nothing follows it yet
		p.life, p.stop = context.WithCancel(context.Background())
		p.pool.attend(p)
		ended := make(chan error, 1)
		go func() { ended <- p.Connect(t.Context()) }()
		time.Sleep(10 * blink)
		select {
		case err := <-ended:
			t.Errorf("Connect returned %v before anything was seen", err)
		default:
		}
		p.running.Go(func() { p.follow(p.life, conn) })
		if len(ended) == 0 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRestoredOnceForEachUse checks that a connection that was used is restored once when it is
// lost, and not again before another use.
func TestRestoredOnceForEachUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		stop := answer(&n, "a")
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		_ = call(t.Context(), p)
		for _, want := range []carrier.Health{carrier.Ready, carrier.Idle} {
			before := n.Dials("a")
			stop()
			stop = answer(&n, "a")
			synctest.Wait()
			time.Sleep(time.Minute)
			if restored := n.Dials("a") > before; p.Health() != want || restored != (want == carrier.Ready) {
				t.Errorf("the peer is %s after %d more connections, want %s", p.Health(), n.Dials("a")-before, want)
			}
		}
		stop()
	})
}

// TestDownIsTriedInTheBackground checks the intervals of the attempts, which grow to ten seconds
// and a fifth.
func TestDownIsTriedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		p := getWith(t, "a", Config{Dial: n.Dial})
		_ = p.Connect(t.Context())
		time.Sleep(time.Minute)
		if d := n.Dials("a"); p.Health() != carrier.Down || d < 10 || d > 20 {
			t.Errorf("after a minute the peer is %s after %d tries", p.Health(), d)
		}
		stop := answer(&n, "a")
		defer stop()
		time.Sleep(12 * time.Second)
		if p.Health() != carrier.Ready {
			t.Errorf("twelve seconds after it came up the peer is %s", p.Health())
		}
	})
}

// TestDownStaysDownWhileTried checks that a peer stays down during an attempt in the background, so
// that no message is sent to it.
func TestDownStaysDownWhileTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		n.Lose("a") // each attempt takes a second
		p := getWith(t, "a", Config{Dial: n.Dial})
		begin := time.Now()
		if err := p.Connect(t.Context()); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != connectParams.MinConnectTimeout {
			t.Errorf("an attempt takes %v, want %v", took, connectParams.MinConnectTimeout)
		}
		for range 600 {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			if p.Health() != carrier.Down {
				t.Fatalf("%v later the peer is %s", time.Since(begin), p.Health())
			}
		}
	})
}

// TestLostHostIsFound checks that keepalive detects a lost host, and that its callers get an error.
func TestLostHostIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		stop := n.Serve("a", nil, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return nil
		}))
		defer stop()
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		failed := make(chan error)
		go func() { failed <- call(context.Background(), p) }()
		time.Sleep(time.Minute) // pings keep it up, though nothing else passes
		if p.Health() != carrier.Ready {
			t.Fatalf("the peer is %s while all is well", p.Health())
		}
		n.Lose("a")
		begin := time.Now()
		if err := <-failed; err == nil {
			t.Error("a call to a lost host returned no error")
		}
		if took := time.Since(begin); took > Keepalive.Time+Keepalive.Timeout {
			t.Errorf("a lost host was found after %v", took)
		}
		synctest.Wait()
		if p.Health() == carrier.Ready || p.Health() == carrier.Idle {
			t.Errorf("the peer is %s", p.Health())
		}
	})
}
