package interception

import (
	"context"
	"log/slog"
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

// newFleetBehind is newFleet with two servers, and with a gateway between the client and them. The
// policies of the gateway and of the servers may be nil.
func newFleetBehind(t *testing.T, atGateway, atServers *trust.Policy) *fleet {
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
	for _, name := range []string{"node1", "node2"} {
		transport := open(url, name, trust.Config{Gateways: []string{"dns:" + gatewayName}, Policy: atServers},
			oslorpc.WithInterceptors(f.journal.interceptor(name)))
		s, i := transport.Server(oslorpc.Target{Topic: topic, Server: name}), &inventory{name: name, journal: f.journal}
		s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
		v1.RegisterInventoryServiceServer(s, i)
		start(s)
		f.servers[name] = s
	}
	gw := open(url, gatewayName, trust.Config{Policy: atGateway}, asGateway{oslorpc.WithListen("127.0.0.1:0"), gateway.New()})
	addr := start(gw.Server(oslorpc.Target{Topic: gateway.Topic, Server: "gw"}))
	client := open("gateway://"+addr, clientName, trust.Config{}, oslorpc.WithCallerName("tester"),
		oslorpc.WithInterceptors(marking(), f.journal.interceptor("client")))
	f.client = client.Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
	return f
}

// Each delivery comes through a gateway as it was sent: once at each server that it is for, with its
// id, version and metadata, and as the message of the original caller.
func TestEachMessageThroughAGateway(t *testing.T) { anycarrier.Each(t, testEachMessageThroughAGateway) }

func testEachMessageThroughAGateway(t *testing.T) {
	t.Helper()
	f := newFleetBehind(t, nil, nil)
	for _, r := range rows() {
		f.journal.reset()
		client, copies := f.client.Prepare(oslorpc.WithServer("node2")), 1
		if r.toAll {
			client, copies = f.client, 2
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		o := r.send(ctx, client)
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
			}
		}
		if sent := f.journal.take(attempt); !r.anonymous && len(sent) > 0 && f.journal.take(run)[0].message.ID != sent[0].message.ID {
			t.Errorf("%s: it was sent with the id %q", r.name, sent[0].message.ID)
		}
	}
}

// checkForwarded checks what a server saw of a message.
func checkForwarded(t *testing.T, r *row, e *event) {
	t.Helper()
	m := &e.message
	if m.Method != r.method || m.Delivery != r.got || (m.ID == "") != r.anonymous {
		t.Errorf("%s: at %s it is %s, by %s, with the id %q", r.name, e.point, m.Method, m.Delivery, m.ID)
	}
	if m.Metadata.Get("sent-by") != "ann" || m.Metadata.Get("trace-bin") != "\x00\xff" || m.Metadata.Get("offered-to") == "" {
		t.Errorf("%s: at %s it has the metadata %v", r.name, e.point, m.Metadata)
	}
	from := &m.Peer
	if !slices.Contains(from.Identity.Names, "dns:"+clientName) || from.Identity.Proof != rpc.ProofGateway || m.Caller != "tester" {
		t.Errorf("%s: at %s it is of %+v, who is called %q", r.name, e.point, from.Identity, m.Caller)
	}
	if from.Via == nil || !slices.Contains(from.Via.Identity.Names, "dns:"+gatewayName) {
		t.Errorf("%s: at %s it came through %+v", r.name, e.point, from.Via)
	}
}

// The gates at the gateway and at the servers let each delivery of the original caller in, or deny
// it with proof that it did not run.
func TestGatesThroughAGateway(t *testing.T) { anycarrier.Each(t, testGatesThroughAGateway) }

func testGatesThroughAGateway(t *testing.T) {
	t.Helper()
	allow := func(names ...string) *trust.Policy {
		return &trust.Policy{Rules: []trust.Rule{{Name: "callers", From: names}}}
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
			f := newFleetBehind(t, at.gateway, at.servers)
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
					t.Errorf("%s: it was let in", r.name)
				}
				if ran := len(f.journal.take(run)); at.denied && ran > 0 {
					t.Errorf("%s: it was denied, and ran %d times", r.name, ran)
				}
			}
		})
	}
}

// The deadline of a caller, and the lack of one of a cast, come through a gateway.
func TestDeadlinesThroughAGateway(t *testing.T) { anycarrier.Each(t, testDeadlinesThroughAGateway) }

func testDeadlinesThroughAGateway(t *testing.T) {
	t.Helper()
	f := newFleetBehind(t, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := oslorpc.Call[any](ctx, f.client.Prepare(oslorpc.WithServer("node1")), "block", nil)
	if kind := rpc.KindOf(err); kind != rpc.Timeout || rpc.SafeToRetry(err) {
		t.Errorf("a call that ran into its deadline: %v", err)
	}
	for _, e := range f.journal.take(run) {
		if e.process != "node1" {
			t.Errorf("it ran at %s", e.process)
		}
	}
}
