package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// edge is a server with 8 workers and limits of callers, and clients behind its gateway.
type edge struct {
	*shop

	ann, bob *oslorpc.Client
}

// newEdge starts a server that is attached to a gateway, or else found by it, and trusts it.
func newEdge(t *testing.T, attached bool, l rpc.Limits) *edge {
	t.Helper()
	f := &secured{newFleet(t), tlstest.New(t)}
	g := f.attaching(t, "gw", f.as("gw.example"))
	through := &fleet{"gateway://" + g.addr}
	at := f.fleet
	if attached {
		at = through
	}
	s := &shop{name: "edge", running: make(chan struct{}, 16), gone: make(chan error, 16)}
	s.server = at.open(t, f.as("edge.example", "dns:gw.example"), oslorpc.WithLimits(l)).
		Server(oslorpc.Target{Topic: topic, Server: s.name}, oslorpc.WithWorkers(8))
	s.server.Add(oslorpc.Endpoint{Version: "1.4", Methods: s.methods()})
	if err := s.server.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	of := func(name string) *oslorpc.Client {
		return through.open(t, f.as(name)).Client(oslorpc.Target{Topic: topic, Server: s.name}, oslorpc.WithTimeout(patience))
	}
	return &edge{s, of("ann.example"), of("bob.example")}
}

// ran returns how many messages for a method ran for a caller.
func (e *edge) ran(method, caller string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.seen {
		if m.Method == method && m.Peer.Identity.Key() == caller {
			n++
		}
	}
	return n
}

// A caller behind a gateway has its share of the workers of a server that trusts the gateway, and
// leaves the others to the other callers.
func TestCallerWorkersBehindAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testCallerWorkersBehindAGateway)
}

func testCallerWorkersBehindAGateway(t *testing.T, attached bool) {
	t.Helper()
	e := newEdge(t, attached, rpc.Limits{CallerWorkers: 50})
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	const share = 4
	ended := make(chan error, share)
	for range share {
		go func() {
			_, err := oslorpc.Call[any](ctx, e.ann, "wait", nil)
			ended <- err
		}()
	}
	for range share {
		<-e.running
	}
	if err := e.ann.Cast(bounded(t), "whoami", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := oslorpc.Call[string](bounded(t), e.bob, "whoami", nil); err != nil {
		t.Errorf("another caller: %v", err)
	}
	if n := e.ran("whoami", "dns:ann.example"); n > 0 {
		t.Error("a caller had more than its share of the workers")
	}
	cancel()
	for range share {
		if err := <-ended; rpc.KindOf(err) != rpc.Canceled {
			t.Error(err)
		}
	}
	await(t, "the message that waited runs", func() bool { return e.ran("whoami", "dns:ann.example") == 1 })
}

// A caller behind a gateway may send as many messages a second as others, and does not use up what
// another may send.
func TestCallerRateBehindAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testCallerRateBehindAGateway)
}

func testCallerRateBehindAGateway(t *testing.T, attached bool) {
	t.Helper()
	e := newEdge(t, attached, rpc.Limits{CallerRate: 2})
	hasty := e.ann.Prepare(oslorpc.WithRetry(0))
	accepted := 0
	var err error
	for ; err == nil && accepted < 1000; accepted++ {
		err = hasty.Cast(bounded(t), "whoami", nil)
	}
	if rpc.KindOf(err) != rpc.Refused || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "more messages a second") {
		t.Fatalf("after %d messages: %v", accepted, err)
	}
	if _, err := oslorpc.Call[string](bounded(t), e.bob.Prepare(oslorpc.WithRetry(0)), "whoami", nil); err != nil {
		t.Errorf("another caller: %v", err)
	}
	if _, err := oslorpc.Call[string](bounded(t), e.ann, "whoami", nil); err != nil {
		t.Errorf("a call that waits its turn: %v", err)
	}
}

// Limits that cannot hold at an attached server are refused, and the error says what to do. Without
// them, the gateway has all of the server.
func TestCallerLimitsThatCannotHold(t *testing.T) {
	f := &secured{newFleet(t), tlstest.New(t)}
	g := f.attaching(t, "gw", f.as("gw.example"))
	through := &fleet{"gateway://" + g.addr}
	start := func(l rpc.Limits, gateways ...string) error {
		s := through.open(t, f.as("edge.example", gateways...), oslorpc.WithLimits(l)).Server(oslorpc.Target{Topic: topic, Server: "edge"})
		if err := s.Start(bounded(t)); err != nil {
			return err
		}
		return s.Stop(bounded(t))
	}
	for name, l := range map[string]rpc.Limits{
		"CallerRate": {CallerRate: 100}, "CallerWorkers": {CallerWorkers: 50}, "CallerShare": {CallerShare: 20}, "CallerStreams": {CallerStreams: 10},
	} {
		err := start(l)
		if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), name+" in WithLimits") {
			t.Errorf("%s at a server that does not trust the gateway: %v", name, err)
		}
		err = start(l, "dns:gw.example")
		if refused := name == "CallerStreams"; refused != errors.Is(err, rpc.Invalid) || !refused && err != nil {
			t.Errorf("%s at a server that trusts the gateway: %v", name, err)
		}
	}
	for name, l := range map[string]rpc.Limits{
		"none": {}, "no limit": {CallerWorkers: 100, CallerShare: 100}, "others": {Memory: 64 << 20, CallerConnections: 5, Depth: 10},
	} {
		if err := start(l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// All workers of an attached server that does not trust its gateway are for the gateway, since
// nothing else can connect.
func TestAttachedServerGivesAllWorkers(t *testing.T) {
	f := newFleet(t)
	g := f.attaching(t, "gw")
	s := &shop{name: "edge", running: make(chan struct{}, 16), gone: make(chan error, 16)}
	s.server = (&fleet{"gateway://" + g.addr}).open(t).Server(oslorpc.Target{Topic: topic, Server: s.name}, oslorpc.WithWorkers(8))
	s.server.Add(oslorpc.Endpoint{Version: "1.4", Methods: s.methods()})
	if err := s.server.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	client := f.open(t).Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(patience))
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	ended := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := oslorpc.Call[any](ctx, client, "wait", nil)
			ended <- err
		}()
	}
	for range 8 {
		select {
		case <-s.running:
		case err := <-ended:
			t.Fatal(err)
		}
	}
	cancel()
	for range 8 {
		<-ended
	}
}
