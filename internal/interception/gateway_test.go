package interception

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const gatewayName = "gw.example"

// asGateway makes a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }

// behind describes a fleet with a gateway between the client and the servers.
type behind struct {
	// gateway and servers are the policies. Each may be nil.
	gateway, servers *trust.Policy
	// attached makes the servers attach to the gateway by a stream.
	attached bool
	// options returns the options of the server with a name. It may be nil.
	options func(name string) []oslorpc.ServerOption
}

// newFleetBehind is like newFleet with two servers, and with a gateway between them and the client.
func newFleetBehind(t *testing.T, b behind) *fleet {
	t.Helper()
	f := &fleet{journal: newJournal(), authority: tlstest.New(t), servers: map[string]*oslorpc.Server{}}
	url := "memory://" + strings.ReplaceAll(t.Name(), "/", "-")
	open := func(url, name string, trusted trust.Config, options ...oslorpc.TransportOption) *oslorpc.Transport {
		trusted.TLS = f.authority.Mutual(name)
		transport, err := oslorpc.Open(url, append(options, oslorpc.WithStopGrace(0),
			oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithTrust(trusted))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = transport.Close() })
		return transport
	}
	start := func(s *oslorpc.Server) string {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		i, _ := s.Instance()
		return i.Addr
	}
	taking := gateway.New()
	taking.TakeServers()
	gw := open(url, gatewayName, trust.Config{Policy: b.gateway}, asGateway{oslorpc.WithListen("127.0.0.1:0"), taking})
	through := "gateway://" + start(gw.Server(oslorpc.Target{Topic: gateway.Topic, Server: "gw"}))
	if b.attached {
		url = through
	}
	for _, name := range []string{"node1", "node2"} {
		transport := open(url, name, trust.Config{Gateways: []string{"dns:" + gatewayName}, Policy: b.servers},
			oslorpc.WithInterceptors(f.journal.interceptor(name)))
		var options []oslorpc.ServerOption
		if b.options != nil {
			options = b.options(name)
		}
		s, i := transport.Server(oslorpc.Target{Topic: topic, Server: name}, options...), &inventory{name: name, journal: f.journal}
		s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
		v1.RegisterInventoryServiceServer(s, i)
		start(s)
		f.servers[name] = s
	}
	client := open(through, clientName, trust.Config{}, oslorpc.WithCallerName("tester"),
		oslorpc.WithInterceptors(marking(), tracing(), f.journal.interceptor("client")))
	f.client = client.Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
	return f
}

// trace is the metadata of a trace that a message belongs to, in the format of W3C.
var trace = map[string]string{
	"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "congo=t61rcWkgMzE", "baggage": "user=ann",
}

// tracing is an interceptor of a client that makes each message part of a trace.
func tracing() oslorpc.Interceptor {
	return oslorpc.Interceptor{Send: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
		for name, value := range trace {
			m.Metadata.Set(name, value)
		}
		return next(ctx)
	}}
}

// A gateway forwards each delivery unchanged. Each intended server gets it once, with the same id,
// version, metadata, trace and deadline, and as the message of the original caller.
func TestEachMessageThroughAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testEachMessageThroughAGateway)
}

// longTime is a deadline that is not a default of a client or of a gateway. Margin is more than a
// message takes.
const longTime, margin = time.Hour, 10 * time.Minute

func testEachMessageThroughAGateway(t *testing.T, attached bool) {
	t.Helper()
	f := newFleetBehind(t, behind{attached: attached})
	for _, r := range rows() {
		f.journal.reset()
		client, copies := f.client.Prepare(oslorpc.WithServer("node2"), oslorpc.WithTimeout(longTime)), 1
		if r.toAll {
			client, copies = f.client.Prepare(oslorpc.WithTimeout(longTime)), 2
		}
		ctx, cancel := context.WithTimeout(t.Context(), longTime)
		deadline, _ := ctx.Deadline()
		hung := time.AfterFunc(patience, cancel)
		o := r.send(ctx, client)
		hung.Stop()
		cancel()
		if o.err != nil {
			t.Errorf("%s: %v", r.name, o.err)
			continue
		}
		f.journal.await(t, run, copies)
		for _, at := range []point{accept, run, method} {
			list := f.journal.take(at)
			if len(list) != copies {
				t.Errorf("%s: %d messages at %s, want %d", r.name, len(list), at, copies)
			}
			for _, e := range list {
				checkForwarded(t, &r, &e)
				checkDeadline(t, &r, &e, deadline)
			}
		}
		sent := f.journal.take(attempt)
		if len(sent) != copies {
			t.Errorf("%s: it was sent %d times", r.name, len(sent))
		}
		for _, e := range append(f.journal.take(run), sent...) {
			if !r.anonymous && e.message.ID != sent[0].message.ID {
				t.Errorf("%s: at %s it has the id %q, and was sent with %q", r.name, e.point, e.message.ID, sent[0].message.ID)
			}
		}
	}
}

// checkForwarded checks what a server saw of a message.
func checkForwarded(t *testing.T, r *row, e *event) {
	t.Helper()
	m := &e.message
	if m.Method != r.method || m.Service != r.service || m.Delivery != r.got || (m.ID == "") != r.anonymous || m.Monitored != r.monitored {
		t.Errorf("%s: at %s it is %s, by %s, with the id %q, monitored: %v", r.name, e.point, m.Method, m.Delivery, m.ID, m.Monitored)
	}
	if m.Target.Version != r.version || m.Target.Topic != topic || m.Target.Exchange != rpc.DefaultExchange {
		t.Errorf("%s: at %s it is for %+v, want version %s", r.name, e.point, m.Target, r.version)
	}
	if m.Metadata.Get("sent-by") != "ann" || m.Metadata.Get("trace-bin") != "\x00\xff" || m.Metadata.Get("offered-to") != e.process {
		t.Errorf("%s: at %s it has the metadata %v", r.name, e.point, m.Metadata)
	}
	for name, value := range trace {
		if got := m.Metadata[name]; !slices.Equal(got, []string{value}) {
			t.Errorf("%s: at %s its %s is %q", r.name, e.point, name, got)
		}
	}
	from := &m.Peer
	if !slices.Contains(from.Identity.Names, "dns:"+clientName) || from.Identity.Proof != rpc.ProofGateway || m.Caller != "tester" {
		t.Errorf("%s: at %s its caller has the identity %+v and the name %q", r.name, e.point, from.Identity, m.Caller)
	}
	if at, err := netip.ParseAddrPort(from.Addr); err != nil || !at.Addr().IsLoopback() {
		t.Errorf("%s: at %s its caller is at %q", r.name, e.point, from.Addr)
	}
	if from.Via == nil || !slices.Contains(from.Via.Identity.Names, "dns:"+gatewayName) {
		t.Errorf("%s: at %s it came through %+v", r.name, e.point, from.Via)
	}
}

// checkDeadline checks that a message whose sender waits has the sender's deadline at a server. An
// accepted message has none when it runs.
func checkDeadline(t *testing.T, r *row, e *event, deadline time.Time) {
	t.Helper()
	if r.accepted {
		if e.point != accept && !e.deadline.IsZero() {
			t.Errorf("%s: at %s it has a deadline", r.name, e.point)
		}
		return
	}
	if e.deadline.Before(deadline.Add(-margin)) || e.deadline.After(deadline.Add(margin)) {
		t.Errorf("%s: at %s its deadline is %v, and its sender's is %v", r.name, e.point, e.deadline, deadline)
	}
}

// If a message did not reach a server, the next message of any kind through a gateway tells that
// server so, once. Other servers are not told. A typed stream does not tell the server, with or
// without a gateway, since it counts as sent before the server has answered.
func TestMissedThroughAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testMissedThroughAGateway)
}

func testMissedThroughAGateway(t *testing.T, attached bool) {
	t.Helper()
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			told := map[string]chan string{"node1": make(chan string, 10), "node2": make(chan string, 10)}
			f := newFleetBehind(t, behind{attached: attached, options: func(name string) []oslorpc.ServerOption {
				return []oslorpc.ServerOption{oslorpc.WithWorkers(1), oslorpc.WithQueue(1, 1<<20), oslorpc.WithMissedMessages(
					func(_ context.Context, reason string) { told[name] <- reason })}
			}})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			f.miss(ctx, t, "node2")
			client := f.client.Prepare(oslorpc.WithServer("node2"))
			if r.toAll {
				client = f.client
			}
			for range 2 {
				if o := r.send(ctx, client); o.err != nil {
					t.Fatal(o.err)
				}
			}
			if r.anonymous && r.sent != rpc.DeliveryCall {
				if n := len(told["node2"]); n > 0 {
					t.Errorf("the stream told the server %d times", n)
				}
				if o := call(ctx, client); o.err != nil {
					t.Fatal(o.err)
				}
			}
			select {
			case reason := <-told["node2"]:
				if !strings.Contains(reason, "a sender could not deliver a message") {
					t.Errorf("the server was told: %s", reason)
				}
			case <-ctx.Done():
				t.Error("the server was not told that it missed a message")
			}
			if n, others := len(told["node2"]), len(told["node1"]); n+others > 0 {
				t.Errorf("the server was told %d times more, and another server %d times", n, others)
			}
		})
	}
}

// miss makes a server with one worker, and a queue of one message, miss a message of the client.
func (f *fleet) miss(ctx context.Context, t *testing.T, server string) {
	t.Helper()
	to := f.client.Prepare(oslorpc.WithServer(server))
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[any](running, to, "block", nil)
		ended <- err
	}()
	f.journal.await(t, method, 1)
	if err := to.Cast(ctx, "note", nil); err != nil {
		t.Fatal(err)
	}
	if err := to.Prepare(oslorpc.WithRetry(0)).Cast(ctx, "note", nil); rpc.KindOf(err) != rpc.Refused {
		t.Fatalf("the queue has room: %v", err)
	}
	stop()
	if err := <-ended; rpc.KindOf(err) != rpc.Canceled {
		t.Fatal(err)
	}
	f.journal.await(t, run, 2)
	f.journal.reset()
}

// The gates of the gateway and of the servers apply to the original caller of each delivery. A
// denial proves that the message did not run.
func TestGatesThroughAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testGatesThroughAGateway)
}

func testGatesThroughAGateway(t *testing.T, attached bool) {
	t.Helper()
	allow := func(names ...string) *trust.Policy {
		return &trust.Policy{Rules: []trust.Rule{
			{Name: "callers", From: names}, {Name: "edge", From: []string{"dns:node*"}, Delivery: []rpc.Delivery{rpc.DeliveryAttach}},
		}}
	}
	ours, other := "dns:"+clientName, "dns:other.example"
	for name, at := range map[string]struct {
		gateway, servers *trust.Policy
		denied           bool
	}{
		"allowed":            {allow(ours), allow(ours), false},
		"denied by servers":  {allow(ours), allow(other), true},
		"the gateway's name": {allow(ours), allow("dns:" + gatewayName), true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleetBehind(t, behind{gateway: at.gateway, servers: at.servers, attached: attached})
			for _, r := range rows() {
				f.journal.reset()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				o := r.send(ctx, f.client)
				cancel()
				errs := []error{o.err}
				for _, err := range o.servers {
					errs = append(errs, err)
				}
				for _, err := range errs {
					if at.denied && err != nil && (rpc.KindOf(err) != rpc.AccessDenied || !rpc.SafeToRetry(err)) || !at.denied && err != nil {
						t.Errorf("%s: %v", r.name, err)
					}
				}
				if at.denied && !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
					t.Errorf("%s: the message was not denied", r.name)
				}
				if ran := len(f.journal.take(run)); at.denied && ran > 0 {
					t.Errorf("%s: it was denied, and ran %d times", r.name, ran)
				}
			}
		})
	}
}

// A gateway forwards the deadline of a caller, and forwards a cast without a deadline.
func TestDeadlinesThroughAGateway(t *testing.T) {
	anycarrier.EachBehindAGateway(t, testDeadlinesThroughAGateway)
}

func testDeadlinesThroughAGateway(t *testing.T, attached bool) {
	t.Helper()
	f := newFleetBehind(t, behind{attached: attached})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := oslorpc.Call[any](ctx, f.client.Prepare(oslorpc.WithServer("node1")), "block", nil)
	if kind := rpc.KindOf(err); kind != rpc.Timeout || rpc.SafeToRetry(err) {
		t.Errorf("a call whose deadline passed: %v", err)
	}
	for _, e := range f.journal.take(run) {
		if e.process != "node1" {
			t.Errorf("the message ran at %s", e.process)
		}
	}
}
