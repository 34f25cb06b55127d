package peer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
)

// The tests of this file run in faked time, so sleeping takes no time.

// slow is a server whose methods run as long as their callers wait. It answers health checks at
// once.
func slow(n *peertest.Network, addr string, options ...grpc.ServerOption) (stop func()) {
	return n.Serve(addr, nil, append(options, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if method, _ := grpc.MethodFromServerStream(stream); strings.HasPrefix(method, "/grpc.health.") {
			return status.Error(codes.Unimplemented, "no such service")
		}
		<-stream.Context().Done()
		return nil
	}))...)
}

// begin starts calls that run until end is called.
func begin(p *Peer, calls int) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range calls {
		running.Go(func() { _ = call(ctx, p) })
	}
	synctest.Wait()
	return func() {
		cancel()
		running.Wait()
	}
}

// configs are ways to connect over a network, with and without watching the connections.
func configs(n *peertest.Network) map[string]Config {
	return map[string]Config{
		"as usual":                       {Dial: n.Dial},
		"with the dialer of the user's":  {Options: []grpc.DialOption{grpc.WithContextDialer(n.Dial)}},
		"with credentials of the user's": {Options: n.Options()},
	}
}

// TestFrozenPeerIsSilent checks that a frozen peer becomes silent within three seconds, until it
// answers again.
func TestFrozenPeerIsSilent(t *testing.T) {
	for name := range configs(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n peertest.Network
				defer slow(&n, "a")()
				p := getWith(t, "a", configs(&n)[name])
				connect(t, p)
				time.Sleep(time.Minute)
				n.Lose("a")
				frozen := time.Now()
				defer begin(p, 1)()
				await(t, p, carrier.Silent)
				if took := time.Since(frozen); took > 3*time.Second {
					t.Errorf("it was found after %v", took)
				}
				time.Sleep(5 * time.Second)
				if p.Health() != carrier.Silent {
					t.Errorf("later it is %s", p.Health())
				}
				became := p.pool.BecameReady()
				n.Find("a")
				back := time.Now()
				await(t, p, carrier.Ready)
				if took := time.Since(back); took > 2*lookTime {
					t.Errorf("that it answers was found after %v", took)
				}
				synctest.Wait()
				select {
				case <-became:
				default:
					t.Error("callers that wait for it were not told")
				}
			})
		})
	}
}

// TestSlowMethodsAreNoSilence checks that slow methods do not make a peer silent, however slow and
// however many they are.
func TestSlowMethodsAreNoSilence(t *testing.T) {
	for name := range configs(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n peertest.Network
				defer slow(&n, "a")()
				p := getWith(t, "a", configs(&n)[name])
				connect(t, p)
				defer begin(p, 20)()
				for range 1000 {
					time.Sleep(100 * time.Millisecond)
					if p.Health() != carrier.Ready {
						t.Fatalf("it is %s", p.Health())
					}
				}
			})
		})
	}
}

// TestSlowMethodsThatUseAllStreams has slow methods that leave no stream for a probe.
func TestSlowMethodsThatUseAllStreams(t *testing.T) {
	const streams = 4
	for name := range configs(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n peertest.Network
				defer slow(&n, "a", grpc.MaxConcurrentStreams(streams))()
				config := configs(&n)[name]
				p := getWith(t, "a", config)
				connect(t, p)
				end := begin(p, streams)
				for range 1000 {
					time.Sleep(100 * time.Millisecond)
					if h := p.Health(); h == carrier.Silent {
						t.Fatalf("it is %s", h)
					}
				}
				n.Lose("a")
				await(t, p, carrier.Silent)
				n.Find("a")
				await(t, p, carrier.Ready, carrier.Full)
				end()
			})
		})
	}
}

// TestFrozenPeerGetsFewMessages checks that the number of unanswered messages limits further ones
// before the peer counts as silent.
func TestFrozenPeerGetsFewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		defer answer(&n, "a")()
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		for range 100 {
			_ = call(t.Context(), p)
		}
		n.Lose("a")
		var ends []func()
		for p.Health() == carrier.Ready && len(ends) < 100 {
			ends = append(ends, begin(p, 1))
		}
		if len(ends) > burst+1 || p.Health() != carrier.Busy {
			t.Errorf("after %d messages that it did not answer it is %s", len(ends), p.Health())
		}
		n.Find("a")
		synctest.Wait()
		if p.Health() != carrier.Ready {
			t.Errorf("when it answers it is %s", p.Health())
		}
		for _, end := range ends {
			end()
		}
	})
}

// TestStreams checks that a peer whose streams are in use is busy, and that callers wait for a
// stream only for a limited time.
func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, patience = 3, 100 * time.Millisecond
		var n peertest.Network
		defer slow(&n, "a", grpc.MaxConcurrentStreams(streams))()
		p := getWith(t, "a", Config{Dial: n.Dial})
		connect(t, p)
		if p.Capacity() != streams {
			t.Errorf("it allows %d streams", p.Capacity())
		}
		for range streams {
			if p.Health() != carrier.Ready {
				t.Errorf("it is %s", p.Health())
			}
			if err := p.Enter(t.Context(), patience); err != nil {
				t.Fatal(err)
			}
		}
		if p.Health() != carrier.Full {
			t.Errorf("when all are in use it is %s", p.Health())
		}
		begin := time.Now()
		if err := p.Enter(t.Context(), patience); !errors.Is(err, carrier.ErrFull) || time.Since(begin) != patience {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(patience/2, cancel)
		if err := p.Enter(canceled, patience); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		const waiting = 50
		entered := make(chan error)
		for range waiting {
			go func() { entered <- p.Enter(t.Context(), time.Hour) }()
		}
		synctest.Wait()
		for range waiting {
			p.Release()
			synctest.Wait()
			if err := <-entered; err != nil {
				t.Error(err)
			}
			select {
			case <-entered:
				t.Fatal("one that left made room for two")
			default:
			}
		}
		for range streams {
			p.Release()
		}
		if p.Health() != carrier.Ready || p.queue.length.Load() != 0 {
			t.Errorf("in the end it is %s, and %d wait", p.Health(), p.queue.length.Load())
		}
	})
}

// TestNoMessageWaitsForAClosedPeer checks that no message waits for a stream of a closed peer.
func TestNoMessageWaitsForAClosedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		defer slow(&n, "a", grpc.MaxConcurrentStreams(1))()
		all := NewPool(Config{Dial: n.Dial})
		p := all.Get(carrier.Key{Addr: "a"})
		connect(t, p)
		end := begin(p, 1)
		failed := make(chan error)
		go func() { failed <- p.Enter(t.Context(), time.Hour) }()
		synctest.Wait()
		all.Put(p)
		end()
		if err := <-failed; err == nil {
			p.Release() // it came between the last call and the end
		}
	})
}

// TestWantedPeerIsTriedEachSecond checks that a peer that has messages is tried each second,
// although the backoff has grown. A while after the last message it no longer is.
func TestWantedPeerIsTriedEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n peertest.Network
		p := getWith(t, "a", Config{Dial: n.Dial})
		_ = p.Connect(t.Context())
		time.Sleep(time.Minute)
		before := n.Dials("a")
		for range 10 {
			soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_ = p.Connect(soon) // as a message does that comes again after a pause
			cancel()
			time.Sleep(2 * time.Second)
		}
		if tries := n.Dials("a") - before; tries < 15 {
			t.Errorf("in 20 seconds it was tried %d times", tries)
		}
		time.Sleep(time.Minute)
		before = n.Dials("a")
		time.Sleep(time.Minute)
		if tries := n.Dials("a") - before; tries > 10 {
			t.Errorf("in a minute without a message for it, it was tried %d times", tries)
		}
		before = n.Dials("a")
		soon, cancel := context.WithTimeout(t.Context(), wantedTime) // one message, which waits
		defer cancel()
		_ = p.Connect(soon)
		if tries := n.Dials("a") - before; tries < 8 { // the back-off alone makes five or six
			t.Errorf("while a message waited for it, it was tried %d times", tries)
		}
	})
}
