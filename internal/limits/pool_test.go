package limits

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// budget returns accounts whose pools have 100 bytes each.
func budget() *Budget {
	return New(rpc.Limits{Memory: 400}.WithDefaults(), slog.New(slog.DiscardHandler))
}

// claims requests bytes, and fails the test unless they are granted as expected.
func claims(t *testing.T, p *Pool, c *Caller, n int, want bool) *Claim {
	t.Helper()
	claim, has := p.Claim(c, n, func() {})
	if has != want {
		t.Errorf("%d bytes for %s: granted %v", n, c, has)
	}
	return claim
}

// A caller gets its share, others get the rest, and waiting claims are granted in order.
func TestShares(t *testing.T) {
	b := budget()
	a, other, third := b.Join("a", ""), b.Join("b", ""), b.Join("c", "")
	p := b.Requests
	first := claims(t, p, a, 30, true)
	second := claims(t, p, a, 30, false) // beyond the share
	small := claims(t, p, a, 1, false)   // behind it
	claims(t, p, other, 50, true)
	last := claims(t, p, third, 30, false) // beyond the pool
	if first.Release(); !second.Granted() || !small.Granted() || last.Granted() {
		t.Errorf("granted %v, %v, %v", second.Granted(), small.Granted(), last.Granted())
	}
	second.Release()
	second.Release() // has no effect
	if !last.Granted() || p.Used() != 81 {
		t.Errorf("granted %v, used %d", last.Granted(), p.Used())
	}
}

// A claim that is larger than a share, or than the pool, is granted to a caller that has nothing.
func TestLargeClaims(t *testing.T) {
	b := budget()
	a, other := b.Join("a", ""), b.Join("b", "")
	large := claims(t, b.Requests, a, 90, true)
	huge := claims(t, b.Requests, other, 1000, false)
	claims(t, b.Requests, a, 1, false) // although it would fit: it is beyond the share
	large.Release()
	if !huge.Granted() {
		t.Error("a claim larger than the pool is not granted")
	}
}

// Connections that prove nothing have a share each, and another share together.
func TestUnprovenShares(t *testing.T) {
	b := budget()
	one, two := b.Join("", "192.0.2.1"), b.Join("", "192.0.2.1")
	claims(t, b.Requests, one, 25, true)
	claims(t, b.Requests, one, 25, true)
	claims(t, b.Requests, one, 1, false)
	claims(t, b.Requests, two, 25, true)
	claims(t, b.Requests, two, 25, false) // their address has 75
	claims(t, b.Requests, b.Join("", "192.0.2.2"), 25, true)
}

// A wait ends with its context and leaves nothing behind.
func TestAcquireEnds(t *testing.T) {
	b := budget()
	a := b.Join("a", "")
	first := claims(t, b.Answers, a, 100, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Answers.Acquire(ctx, a, 10); err == nil {
		t.Error("a claim that does not fit was granted")
	}
	if b.Answers.Waits(a) {
		t.Error("the claim waits")
	}
	first.Release()
	if b.Answers.Used() != 0 {
		t.Errorf("%d bytes are in use", b.Answers.Used())
	}
}

func TestConnectionsOfACaller(t *testing.T) {
	b := New(rpc.Limits{CallerConnections: 2}.WithDefaults(), slog.New(slog.DiscardHandler))
	first := b.Join("a", "")
	if b.Join("a", "") != first || b.Join("a", "") != nil || b.Join("b", "") == nil {
		t.Error("an identity may have more or fewer connections than its limit")
	}
	first.Leave()
	if b.Join("a", "") == nil {
		t.Error("a connection that ended counts")
	}
	if b.Join("", "192.0.2.1") == nil || b.Join("", "192.0.2.1") == nil || b.Join("", "192.0.2.1") != nil {
		t.Error("an address may have more or fewer connections than its limit")
	}
}

// A caller may send as many messages a second as its rate allows, over all its connections.
func TestRateOfACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(rpc.Limits{CallerRate: 5}.WithDefaults(), slog.New(slog.DiscardHandler))
		send := func(who string, c *Caller, want int) {
			t.Helper()
			sent := 0
			for range 100 {
				if !c.IsFast() {
					sent++
				}
			}
			if sent != want {
				t.Errorf("%s may send %d messages at once, want %d", who, sent, want)
			}
		}
		a := b.Join("a", "")
		send("an identity", a, 5)
		send("its other connection", b.Join("a", ""), 0)
		send("another identity", b.Join("b", ""), 5)
		send("an address", b.Join("", "192.0.2.1"), 5)
		send("another connection from there", b.Join("", "192.0.2.1"), 0)
		time.Sleep(time.Second)
		send("the identity a second later", a, 5)
		free := New(rpc.Limits{}.WithDefaults(), slog.New(slog.DiscardHandler))
		send("a caller without a rate", free.Join("a", ""), 100)
	})
}

// The share of the workers is larger than the share of other resources.
func TestPartOfWorkers(t *testing.T) {
	c := New(rpc.Limits{}.WithDefaults(), slog.New(slog.DiscardHandler)).Join("a", "")
	if c.PartOfWorkers(64, 8) != 48 || c.Part(64, 8) != 32 || c.PartOfWorkers(7, 8) != 7 {
		t.Errorf("its part of 64 is %d for workers and %d for others", c.PartOfWorkers(64, 8), c.Part(64, 8))
	}
}

// Refusals are counted. They are logged at once and then once a second.
func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := New(rpc.Limits{}.WithDefaults(), slog.New(slog.NewTextHandler(&log, nil)))
		for range 3000 {
			b.Refused(Streams, "identity a")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n < 4 || n > 5 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		if b.Refusals()[Streams] != 3000 || !strings.Contains(log.String(), "refused=999") {
			t.Errorf("%v\n%s", b.Refusals(), log.String())
		}
	})
}
