package interception

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// auditLog is the log of a server.
type auditLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (a *auditLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.Write(p)
}

// take returns the lines of the audit log since the last call.
func (a *auditLog) take() (lines []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for line := range strings.Lines(a.text.String()) {
		if strings.Contains(line, "audit.verdict=") {
			lines = append(lines, line)
		}
	}
	a.text.Reset()
	return lines
}

// all returns the whole log.
func (a *auditLog) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// guarded is a fleet whose servers have a policy.
type guarded struct {
	fleet

	proof     proof
	transport *oslorpc.Transport // the client's
	log       auditLog           // of the servers
	missed    atomic.Int32
}

// newGuarded starts a fleet of two servers.
func newGuarded(t *testing.T, p proof, policy *trust.Policy) *guarded {
	t.Helper()
	g := &guarded{proof: p, fleet: fleet{journal: newJournal(), authority: tlstest.New(t), servers: map[string]*oslorpc.Server{}}}
	for _, name := range []string{"node1", "node2"} {
		dir, err := os.MkdirTemp("", "gate") // the path of t.TempDir is too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		config := p.server(t, g.authority)
		config.Policy = policy
		transport := g.join(t, oslorpc.WithListen(p.listen(dir)), oslorpc.WithTrust(config),
			oslorpc.WithLogger(slog.New(slog.NewTextHandler(&g.log, nil))), oslorpc.WithInterceptors(g.journal.interceptor(name)))
		s := transport.Server(oslorpc.Target{Topic: topic, Server: name},
			oslorpc.WithMissedMessages(func(context.Context, string) { g.missed.Add(1) }))
		i := &inventory{name: name, journal: g.journal}
		s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
		v1.RegisterInventoryServiceServer(s, i)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.servers[name] = s
	}
	g.transport = g.join(t, oslorpc.WithTrust(p.client(t, g.authority)), oslorpc.WithCallerName("tester"),
		oslorpc.WithInterceptors(g.journal.interceptor("client")), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	g.client = g.transport.Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
	return g
}

// join opens a transport of the fleet.
func (g *guarded) join(t *testing.T, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open("memory://"+strings.ReplaceAll(t.Name(), "/", "-"), append(options, oslorpc.WithStopGrace(0))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// counted returns how many requests the servers counted.
func (g *guarded) counted(t *testing.T) (n int64) {
	t.Helper()
	for _, s := range g.servers {
		i, _ := s.Instance()
		info, err := g.transport.Info(t.Context(), i, oslorpc.WithRequests())
		if err != nil {
			t.Fatal(err)
		}
		for _, server := range info.Servers {
			for _, r := range server.Requests {
				n += r.Accepted + r.Refused
			}
			n += server.Uncounted
		}
	}
	return n
}

// inspect lets everyone read the request counts, which a rule for messages does not allow.
var inspect = trust.Rule{Name: "inspect", From: []string{"anyone"}, Topic: []string{topic}, Delivery: []rpc.Delivery{rpc.DeliveryInspect}}

// Denied messages do not run. They are neither counted nor seen by interceptors, they tell no
// server that it missed messages, and each leaves a line in the audit log.
func TestGateDenies(t *testing.T) { anycarrier.Each(t, testGateDenies) }

func testGateDenies(t *testing.T) {
	t.Helper()
	for _, p := range proofs() {
		t.Run(p.name, func(t *testing.T) {
			g := newGuarded(t, p, &trust.Policy{Rules: []trust.Rule{inspect, {
				Name: "others", From: []string{"dns:other.example", "user:4294967294", "token:https://issuer.example/other"}, Topic: []string{topic},
			}}})
			for range 2 { // the second time, the senders have messages to report that the servers missed
				for _, r := range rows() {
					g.journal.reset()
					g.log.take()
					o := r.send(t.Context(), g.client)
					checkDenied(t, &r, o.err)
					for name, err := range o.servers {
						if !r.toAll {
							t.Errorf("%s: %s answered", r.name, name)
						}
						checkDenied(t, &r, err)
					}
					for _, at := range []point{accept, run, method} {
						if list := g.journal.take(at); len(list) > 0 {
							t.Errorf("%s: the message reached the point %s: %v", r.name, at, list)
						}
					}
					g.checkAudit(t, &r, "denied", "")
				}
			}
			if n := g.counted(t); n > 0 {
				t.Errorf("%d requests were counted", n)
			}
			if n := g.missed.Load(); n > 0 {
				t.Errorf("the servers were told %d times that they missed messages", n)
			}
		})
	}
}

// checkDenied fails unless an error, if there is one, is a denial by a policy. A gather has only
// the errors of its servers.
func checkDenied(t *testing.T, r *row, err error) {
	t.Helper()
	if err == nil && r.sent == rpc.DeliveryGather {
		return
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Kind != rpc.AccessDenied || !e.NotStarted || e.Message != "the policy of the server denies this" {
		t.Errorf("%s: got %#v", r.name, err)
	}
}

// checkAudit fails unless the audit log has a line for each server that received the message.
func (g *guarded) checkAudit(t *testing.T, r *row, verdict, rule string) {
	t.Helper()
	want := 1
	if r.toAll {
		want = 2
	}
	lines := g.log.take()
	if len(lines) != want {
		t.Errorf("%s: the audit log has %q", r.name, lines)
	}
	for _, line := range lines {
		for name, value := range map[string]string{
			"verdict": verdict, "rule": rule, "identity": g.proof.identity, "claimed": "tester", "exchange": rpc.DefaultExchange,
			"topic": topic, "server": "node", "method": r.method, "delivery": string(r.got),
		} {
			if value == "" || strings.Contains(value, " ") {
				value = fmt.Sprintf("%q", value)
			}
			if !strings.Contains(line, " audit."+name+"="+value) {
				t.Errorf("%s: %q does not have %s=%s", r.name, line, name, value)
			}
		}
	}
}

// Allowed messages run as they do without a policy.
func TestGateAllows(t *testing.T) { anycarrier.Each(t, testGateAllows) }

func testGateAllows(t *testing.T) {
	t.Helper()
	for _, p := range proofs() {
		t.Run(p.name, func(t *testing.T) {
			for _, r := range rows() {
				t.Run(r.name, func(t *testing.T) {
					namespace := ""
					if r.service != "" {
						namespace = "volumes"
					}
					g := newGuarded(t, p, &trust.Policy{Rules: []trust.Rule{{
						From: []string{p.from}, Exchange: []string{rpc.DefaultExchange}, Topic: []string{topic}, Namespace: []string{namespace},
						Server: []string{"node*"}, Method: []string{r.method}, Delivery: []rpc.Delivery{r.got},
					}}})
					g.checkRuns(t, &r, r.send(t.Context(), g.client))
					if lines := g.log.take(); len(lines) > 0 {
						t.Errorf("the audit log has %q", lines)
					}
				})
			}
		})
	}
}

func (g *guarded) checkRuns(t *testing.T, r *row, o outcome) {
	t.Helper()
	want := 1
	if r.toAll {
		want = 2
	}
	if o.err != nil {
		t.Errorf("%s: got %v", r.name, o.err)
	}
	for name, err := range o.servers {
		if err != nil {
			t.Errorf("%s at %s: got %v", r.name, name, err)
		}
	}
	if list := g.journal.await(t, method, want); len(list) != want {
		t.Errorf("%s: it ran %d times", r.name, len(list))
	}
}

// In a dry run everything runs, and the log shows the messages that would be denied.
func TestGateDryRun(t *testing.T) { anycarrier.Each(t, testGateDryRun) }

func testGateDryRun(t *testing.T) {
	t.Helper()
	for _, p := range proofs() {
		t.Run(p.name, func(t *testing.T) {
			g := newGuarded(t, p, &trust.Policy{DryRun: true, Rules: []trust.Rule{inspect}})
			for _, r := range rows() {
				g.journal.reset()
				g.log.take()
				g.checkRuns(t, &r, r.send(t.Context(), g.client))
				g.checkAudit(t, &r, "would deny", "")
			}
			if n := g.counted(t); n == 0 {
				t.Error("no requests were counted")
			}
		})
	}
}

// If one of two servers denies a fanout, the fanout runs on the other.
func TestGateDeniesAtOneServer(t *testing.T) { anycarrier.Each(t, testGateDeniesAtOneServer) }

func testGateDeniesAtOneServer(t *testing.T) {
	t.Helper()
	g := newGuarded(t, proofs()[0], &trust.Policy{Rules: []trust.Rule{{From: []string{"anyone"}, Server: []string{"node2"}}}})
	for _, r := range rows() {
		if !r.toAll {
			continue
		}
		o := r.send(t.Context(), g.client)
		if o.err != nil || o.servers["node2"] != nil || !errors.Is(o.servers["node1"], rpc.AccessDenied) {
			t.Errorf("%s: got %v, %v", r.name, o.servers, o.err)
		}
	}
}

// Every RPC of the protocol and of a typed service passes the gate, even if a program makes the RPC
// without this library. gRPC's own services pass the gate too.
func TestNoRPCBypassesTheGate(t *testing.T) {
	denied := newGuarded(t, proofs()[0], &trust.Policy{})
	s := denied.stranger(t, "node1")
	for _, c := range rpcs(t) {
		err := c.do(t, s)
		if !isDenial(err) {
			t.Errorf("%s: got %v", c.path, err)
		}
		checkDetail(t, err)
		if lines := denied.log.take(); len(lines) != 1 || !strings.Contains(lines[0], "audit.identity=dns:"+strangerName) {
			t.Errorf("%s: the audit log has %q", c.path, lines)
		}
	}
	used := useServices(t.Context(), s.conn)
	lines := strings.Join(denied.log.take(), "")
	for path, err := range used {
		if !isDenial(err) {
			t.Errorf("%s: got %v", path, err)
		}
		if !strings.Contains(lines, "audit.service="+path+" ") {
			t.Errorf("%s: the audit log has %s", path, lines)
		}
	}
	for _, path := range []string{"/oslorpc.v1.RPCService/Other", "/" + service + "/Other", "/no.such.Service/Method", "/grpc.health.v1.Health/Other"} {
		err := s.conn.Invoke(t.Context(), path, &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
		if !isDenial(err) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// isDenial reports whether a status is a denial by a policy.
func isDenial(err error) bool {
	return status.Convert(err).Message() == "access denied: the policy of the server denies this"
}

// useServices uses the services of gRPC.
func useServices(ctx context.Context, conn *grpc.ClientConn) map[string]error {
	health := grpc_health_v1.NewHealthClient(conn)
	_, check := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	_, list := health.List(ctx, &grpc_health_v1.HealthListRequest{})
	watching, watch := health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if watch == nil {
		_, watch = watching.Recv()
	}
	reflecting, reflection := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if reflection == nil {
		_ = reflecting.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
		_, reflection = reflecting.Recv()
	}
	return map[string]error{
		"grpc.health.v1.Health/Check": check, "grpc.health.v1.Health/List": list, "grpc.health.v1.Health/Watch": watch,
		"grpc.reflection.v1.ServerReflection/ServerReflectionInfo": reflection,
	}
}

// Rules with services let callers use gRPC's own services.
func TestGateAllowsServices(t *testing.T) {
	g := newGuarded(t, proofs()[0], &trust.Policy{Rules: []trust.Rule{{
		From: []string{"dns:" + strangerName}, Services: []string{"grpc.health.v1.Health/*", "grpc.reflection.*"},
	}}})
	i, _ := g.servers["node1"].Instance()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for path, err := range useServices(ctx, g.stranger(t, "node1").conn) {
		if err != nil {
			t.Errorf("%s: got %v", path, err)
		}
	}
	conn, err := grpc.NewClient(i.Addr, grpc.WithTransportCredentials(credentials.NewTLS(g.authority.Mutual(clientName))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for path, err := range useServices(ctx, conn) {
		if err == nil {
			t.Errorf("%s: another caller may use it", path)
		}
	}
}
