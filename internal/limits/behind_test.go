package limits

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// limited returns accounts of callers that may send one message a second and have half of
// everything.
func limited() *Budget {
	return New(rpc.Limits{CallerRate: 1, CallerShare: 50, CallerWorkers: 50}.WithDefaults(), slog.New(slog.DiscardHandler))
}

// Each caller behind a gateway has the limits of a caller, over all gateways and its own
// connections. The gateway has none.
func TestBehind(t *testing.T) {
	b := limited()
	gateway, other, own := b.Join("dns:gw1", ""), b.Join("dns:gw2", ""), b.Join("dns:ann", "")
	ann, bob, anonymous := gateway.Behind("dns:ann", "address 10.0.0.1"), gateway.Behind("dns:bob", "address 10.0.0.1"), gateway.Behind("", "address 10.0.0.1")
	if ann != own || other.Behind("dns:ann", "") != ann || ann == bob || gateway.Behind("", "address 10.0.0.1") != anonymous {
		t.Error("the same caller has several accounts")
	}
	for name, c := range map[string]*Caller{"ann": ann, "bob": bob, "anonymous": anonymous} {
		if c.IsFast() || !c.IsFast() {
			t.Errorf("%s may not send exactly one message", name)
		}
		if want := map[string]int{"ann": 5, "bob": 5, "anonymous": 7}[name]; c.Part(10, 1) != want || c.PartOfWorkers(10, 1) != want {
			t.Errorf("%s has the parts %d and %d of 10", name, c.Part(10, 1), c.PartOfWorkers(10, 1))
		}
	}
	for range 3 {
		if gateway.IsFast() {
			t.Error("the gateway is limited")
		}
	}
	if gateway.Part(10, 1) != 10 || gateway.PartOfWorkers(10, 1) != 10 {
		t.Error("the gateway has a share")
	}
	own.Leave() // the used part of its rate is remembered
	if again := b.Join("dns:ann", ""); again != ann || !again.IsFast() {
		t.Error("a caller that connects again has another account")
	}
}

// The callers behind gateways that are remembered are bounded. Those with connections stay.
func TestBehindIsBounded(t *testing.T) {
	b := limited()
	gateway, own := b.Join("dns:gw", ""), b.Join("dns:ann", "")
	gateway.Behind("dns:ann", "")
	for n := range 3 * maxBehind {
		gateway.Behind(fmt.Sprint("dns:", n), "")
	}
	if n := len(b.callers); n > maxBehind+2 {
		t.Errorf("%d callers are remembered", n)
	}
	if gateway.Behind("dns:ann", "") != own {
		t.Error("a caller with a connection was forgotten")
	}
	own.Leave()
	gateway.Leave()
	b.mu.Lock()
	b.forget()
	b.mu.Unlock()
	if n := len(b.callers); n > 0 {
		t.Errorf("%d callers are left", n)
	}
}
