package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// TestStreamsGoToThoseThatWaitLongest checks fairness: a goroutine that ends an RPC and begins the
// next one at once must not always overtake a waiting message.
func TestStreamsGoToThoseThatWaitLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, waiters = 1, 5
		p := get(t, "unreachable:1")
		allow(p, streams)
		entered := make(chan int, waiters)
		if err := p.Enter(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		for i := range waiters {
			go func() {
				if err := p.Enter(t.Context(), time.Hour); err != nil {
					t.Error(err)
				}
				entered <- i
			}()
			synctest.Wait()
		}
		hog := make(chan error, 1)
		go func() { // before its turn comes
			p.Release()
			hog <- p.Enter(t.Context(), time.Hour)
		}()
		for i := range waiters {
			synctest.Wait()
			select {
			case got := <-entered:
				if got != i {
					t.Errorf("message %d has the stream of message %d", got, i)
				}
			default:
				t.Fatalf("message %d waits while a later one has the stream", i)
			}
			p.Release()
		}
		if err := <-hog; err != nil {
			t.Error(err)
		}
		p.Release()
		if n := p.Outstanding(); n != 0 {
			t.Errorf("%d RPCs run when all have ended", n)
		}
	})
}

// TestPatienceForAStreamIsBounded checks that waiting messages do not get more time when the health
// changes, although each change makes them try again.
func TestPatienceForAStreamIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Second
		p := get(t, "unreachable:1")
		allow(p, 1)
		if err := p.Enter(t.Context(), patience); err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		failed := make(chan error, 1)
		begin := time.Now()
		go func() { failed <- p.Enter(t.Context(), patience) }()
		for time.Since(begin) < 3*patience && len(failed) == 0 {
			time.Sleep(patience / 2)
			p.set(carrier.Down)
			synctest.Wait()
		}
		if len(failed) == 0 {
			t.Fatalf("it waits after %v", time.Since(begin))
		}
		if err := <-failed; !errors.Is(err, carrier.ErrFull) || time.Since(begin) != patience {
			t.Errorf("it failed after %v: %v", time.Since(begin), err)
		}
	})
}

// TestNoStreamIsLost checks that a stream is not lost if the message that gets it goes away at the
// same moment.
func TestNoStreamIsLost(t *testing.T) {
	const streams, messages = 3, 16
	p := get(t, "unreachable:1")
	allow(p, streams)
	var most, running atomic.Int64
	var all sync.WaitGroup
	for range messages {
		all.Go(func() {
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(200))*time.Microsecond)
				if p.Enter(ctx, time.Duration(rand.N(200))*time.Microsecond) == nil {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					runtime.Gosched()
					running.Add(-1)
					p.Release()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if most.Load() > streams {
		t.Errorf("%d RPCs ran at a time", most.Load())
	}
	if n, waiting := p.Outstanding(), p.queue.length.Load(); n != 0 || waiting != 0 {
		t.Errorf("%d RPCs run and %d wait when all have ended", n, waiting)
	}
	for range streams {
		if err := p.Enter(t.Context(), 0); err != nil {
			t.Errorf("a stream is lost: %v", err)
		} else {
			defer p.Release()
		}
	}
}

// allow makes a peer without a connection look as if it allowed this many streams.
func allow(p *Peer, streams int64) {
	l := &line{sight: &p.sight}
	l.limit.Store(streams)
	p.sight.line.Store(l)
}
