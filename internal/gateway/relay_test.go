package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// sessions forces sessions.
var sessions = oslorpc.WithCarrier(rpc.CarrierSession)

// relayed returns a client whose messages travel in sessions on both hops.
func (f *fleet) relayed(t *testing.T, target oslorpc.Target, options ...oslorpc.TransportOption) (*oslorpc.Client, *gate) {
	t.Helper()
	g := f.gateway(t, "gw", append(options, sessions)...)
	transport := open(t, "gateway://"+g.addr, sessions, oslorpc.WithCallerName("behind"))
	c := transport.Client(target, oslorpc.WithTimeout(patience))
	if _, err := oslorpc.Call[string](bounded(t), c, "whoami", nil); err != nil {
		t.Fatal(err)
	}
	return c, g
}

// stacks returns the stacks of all goroutines.
func stacks() []byte {
	text := make([]byte, 8<<20)
	return text[:runtime.Stack(text, true)]
}

// TestRelayHasNoGoroutines checks that messages that wait for their servers have no goroutine in
// the gateway.
func TestRelayHasNoGoroutines(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	c, _ := f.relayed(t, oslorpc.Target{Topic: topic})
	ctx, cancel := context.WithCancel(bounded(t))
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() { _, _ = oslorpc.Call[string](ctx, c, "wait", nil) })
	}
	for range 8 {
		<-a.running
	}
	if n := bytes.Count(stacks(), []byte("intake.(*Intake).forwardCall(")); n != 0 {
		t.Errorf("%d of 8 messages have a goroutine in the gateway", n)
	}
	cancel()
	callers.Wait()
	for range 8 {
		<-a.gone
	}
}

// TestRelayOutcomes checks that relayed messages have the same outcomes as others.
func TestRelayOutcomes(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	c, g := f.relayed(t, oslorpc.Target{Topic: topic}, oslorpc.WithLimits(rpc.Limits{MessageSize: 1 << 20}))
	ctx := bounded(t)
	large := strings.Repeat("ü", 20<<10) // the result comes in parts
	got, err := oslorpc.Call[map[string]string](ctx, c, "echo", map[string]string{"x": large[:20<<10]})
	if err != nil || got["x"] != large[:20<<10] {
		t.Errorf("a large call: %d bytes, %v", len(got["x"]), err)
	}
	if m := a.last(); m.ID == "" || m.Caller != "unknown" && m.Caller == "" || m.Peer.Addr == "" {
		t.Errorf("the message is %+v", m)
	}
	var remote *oslorpc.RemoteError
	if _, err = oslorpc.Call[string](ctx, c, "fail", nil); !errors.As(err, &remote) || remote.Message != errShop.Error() || len(remote.Hops) != 1 {
		t.Errorf("a failure: %v", err)
	}
	if _, err = oslorpc.Call[string](ctx, c, "nope", nil); rpc.KindOf(err) != rpc.NoSuchMethod || !rpc.SafeToRetry(err) {
		t.Errorf("an unknown method: %v", err)
	}
	before := a.count()
	if err := c.Cast(ctx, "whoami", nil); err != nil {
		t.Errorf("a cast: %v", err)
	}
	if err := c.Cast(ctx, "nope", nil); rpc.KindOf(err) != rpc.NoSuchMethod {
		t.Errorf("a cast of an unknown method: %v", err)
	}
	for a.count() == before && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	info, err := pb.NewIntrospectionServiceClient(g.connect(t)).GetInfo(ctx, &pb.GetInfoRequest{})
	if n := info.GetGateway(); err != nil || n.GetForwarding() != 0 || n.GetForwarded() < 64*20 {
		t.Errorf("the gateway says of itself %v, %v", n, err)
	}
}

// TestRelayEnds checks that the caller's cancellation and deadline reach the method, and that a
// message that ran on a lost server has an unknown outcome.
func TestRelayEnds(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	c, _ := f.relayed(t, oslorpc.Target{Topic: topic})
	for name, end := range map[string]func() (context.Context, context.CancelFunc){
		"a caller that leaves": func() (context.Context, context.CancelFunc) { return context.WithCancel(bounded(t)) },
		"a deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(bounded(t), 200*time.Millisecond)
		},
	} {
		ctx, cancel := end()
		came := make(chan error, 1)
		go func() {
			_, err := oslorpc.Call[string](ctx, c, "wait", nil)
			came <- err
		}()
		<-a.running
		if _, timed := ctx.Deadline(); name == "a caller that leaves" && timed {
			cancel()
		}
		if err := <-came; err == nil || rpc.SafeToRetry(err) {
			t.Errorf("%s: %v", name, err)
		}
		<-a.gone
		cancel()
	}
	came := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](bounded(t), c, "wait", nil)
		came <- err
	}()
	<-a.running
	stopped, force := context.WithCancel(context.Background())
	force()
	_ = a.server.Stop(stopped)
	var e *rpc.Error
	if err := <-came; !errors.As(err, &e) || e.NotStarted || e.Server != "a" {
		t.Errorf("what ran: %v", err)
	}
}

// TestRelayStops checks that a stopping gateway answers the messages that it relays.
func TestRelayStops(t *testing.T) {
	f := newFleet(t)
	release := make(chan struct{})
	slow := f.open(t, oslorpc.WithListen("127.0.0.1:0")).Server(oslorpc.Target{Topic: topic, Server: "slow"})
	running := make(chan struct{}, 1)
	slow.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, none) (string, error) { return "slow", nil }),
		"wait": oslorpc.Func(func(context.Context, none) (string, error) {
			running <- struct{}{}
			<-release
			return "done", nil
		}),
	}})
	if err := slow.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, g := f.relayed(t, oslorpc.Target{Topic: topic})
	came := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](bounded(t), c, "wait", nil)
		came <- err
	}()
	<-running
	stopped := make(chan error, 1)
	go func() { stopped <- g.server.Stop(bounded(t)) }()
	select {
	case err := <-stopped:
		t.Errorf("it stopped (%v) before it answered", err)
	case <-time.After(20 * time.Millisecond): // it would have, most likely
	}
	close(release)
	if err := <-came; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestRelayPolicy checks that the policy of a gateway is applied once to a relayed message, and
// that the original caller is forwarded.
func TestRelayPolicy(t *testing.T) {
	f := &secured{newFleet(t), tlstest.New(t)}
	a := f.serve(t, "a", f.as("a.example", "dns:gw.example"))
	g := f.gateway(t, "gw", sessions, oslorpc.WithTrust(trust.Config{TLS: f.authority.Mutual("gw.example"), Policy: &trust.Policy{Rules: []trust.Rule{
		{Name: "calls", From: []string{"dns:ann.example"}, Method: []string{"whoami"}},
	}}}))
	c := open(t, "gateway://"+g.addr, sessions, f.as("ann.example")).Client(oslorpc.Target{Topic: topic})
	ctx := bounded(t)
	for range 5 {
		if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
			t.Fatal(err)
		}
		if names := a.last().Peer.Identity.Names; !slices.Contains(names, "dns:ann.example") {
			t.Errorf("the server sees %v", names)
		}
	}
	ran := a.count()
	if _, err := oslorpc.Call[string](ctx, c, "fail", nil); rpc.KindOf(err) != rpc.AccessDenied || !rpc.SafeToRetry(err) || a.count() != ran {
		t.Errorf("what is denied: %v", err)
	}
}
