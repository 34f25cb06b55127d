package interception

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ofTopic is the service of the topic in Consul.
const ofTopic = "oslorpc-openstack-" + topic

// mesh is a fleet in Consul's service mesh. Two processes of the service "stores" serve the topic.
// The clients belong to other services.
type mesh struct {
	agent   *consultest.Agent
	consul  *api.Client
	carrier string
	journal *journal
	// more has further parameters of the servers' URL. log is the log of the servers.
	more string
	log  *slog.Logger
}

// newMesh starts the servers. The intentions allow everything that is not denied.
func newMesh(t *testing.T, carrier string) *mesh {
	t.Helper()
	return newMeshWith(t, &mesh{carrier: carrier, log: slog.New(slog.DiscardHandler)})
}

func newMeshWith(t *testing.T, m *mesh) *mesh {
	t.Helper()
	m.agent, m.journal = consultest.Start(t, "connect { enabled = true }"), newJournal()
	m.consul = m.agent.Client(t, "")
	for _, name := range []string{"node1", "node2"} {
		m.serve(t, "stores", topic, name)
	}
	return m
}

// open opens a transport of a service.
func (m *mesh) open(t *testing.T, service string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	url := m.agent.URL() + "?connect=native&service=" + service + "&carrier=" + m.carrier + m.more
	tr, err := oslorpc.Open(url, append(options, oslorpc.WithStopGrace(0), oslorpc.WithLogger(m.log))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// serve starts a server in a separate process.
func (m *mesh) serve(t *testing.T, service, topic, name string) {
	t.Helper()
	s := m.open(t, service, oslorpc.WithInterceptors(m.journal.interceptor(name))).Server(oslorpc.Target{Topic: topic, Server: name})
	i := &inventory{name: name, journal: m.journal}
	s.Add(oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(i.dynamic())})
	v1.RegisterInventoryServiceServer(s, i)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// client returns a client of a service.
func (m *mesh) client(t *testing.T, service string) *oslorpc.Client {
	t.Helper()
	return m.open(t, service).Client(oslorpc.Target{Topic: topic, Version: "1.1"}, oslorpc.WithTimeout(patience))
}

// intend sets the intentions for the topic.
func (m *mesh) intend(t *testing.T, sources ...*api.SourceIntention) {
	t.Helper()
	_, _, err := m.consul.ConfigEntries().Set(&api.ServiceIntentionsConfigEntry{Kind: api.ServiceIntentions, Name: ofTopic, Sources: sources}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func source(name string, action api.IntentionAction) *api.SourceIntention {
	return &api.SourceIntention{Name: name, Action: action}
}

// await waits until all servers let a service send, or until none does.
func await(t *testing.T, c *oslorpc.Client, allowed bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		n := 0
		for _, err := range oslorpc.Gather[string](t.Context(), c, "whoami", nil) {
			switch {
			case errors.Is(err, rpc.AccessDenied) != allowed:
				n++
			case err != nil && !errors.Is(err, rpc.AccessDenied):
				t.Fatal(err)
			}
		}
		switch {
		case n == 2:
			return
		case time.Now().After(end):
			t.Fatalf("the intentions did not take effect: want the service allowed: %v", allowed)
		}
	}
}

// A service without permission is denied each delivery, on each carrier and by each server of a
// fanout. None of its messages runs. A service with permission can send.
func TestIntentions(t *testing.T) {
	for _, carrier := range []string{"unary", "session"} {
		t.Run(carrier, func(t *testing.T) {
			m := newMesh(t, carrier)
			m.intend(t, source("web", api.IntentionActionAllow), source("*", api.IntentionActionDeny))
			web, thief := m.client(t, "web"), m.client(t, "thief")
			await(t, web, true)
			await(t, thief, false)
			for _, r := range rows() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				m.journal.reset()
				wantDenied(t, r, r.send(ctx, thief))
				for _, e := range m.journal.take(accept) {
					t.Errorf("%s: the server accepted the denied service's message: %+v", r.name, e)
				}
				if o := r.send(ctx, web); !o.worked(r) {
					t.Errorf("%s: the service that is allowed got %+v", r.name, o)
				}
				cancel()
			}
		})
	}
}

func (o outcome) worked(r row) bool {
	for _, err := range o.servers {
		if err != nil {
			return false
		}
	}
	return o.err == nil && (!r.toAll || len(o.servers) == 2)
}

func wantDenied(t *testing.T, r row, o outcome) {
	t.Helper()
	list := []error{o.err}
	if r.toAll && o.err == nil {
		if list = nil; len(o.servers) != 2 {
			t.Errorf("%s: it has the answers %v", r.name, o.servers)
		}
		for _, err := range o.servers {
			list = append(list, err)
		}
	}
	for _, err := range list {
		if !errors.Is(err, rpc.AccessDenied) || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), `service "thief"`) ||
			!strings.Contains(err.Error(), "L4 intention") {
			t.Errorf("%s: got %v", r.name, err)
		}
	}
}

// In a dry run, the servers accept messages that the intentions deny, for each delivery. The audit
// log has the denials with Consul's reason.
func TestIntentionsDryRun(t *testing.T) {
	var log auditLog
	m := newMeshWith(t, &mesh{carrier: "unary", more: "&intentions=dry-run", log: slog.New(slog.NewTextHandler(&log, nil))})
	m.intend(t, source("*", api.IntentionActionDeny))
	thief := m.client(t, "thief")
	inForce := func(server string) bool { return strings.Contains(log.all(), "audit.server="+server) }
	for end := time.Now().Add(patience); !inForce("node1") || !inForce("node2"); time.Sleep(10 * time.Millisecond) {
		if _, err := oslorpc.Call[string](t.Context(), thief, "whoami", nil); err != nil || time.Now().After(end) {
			t.Fatalf("the audit log is empty; %v", err)
		}
	}
	for _, r := range rows() {
		log.take()
		if o := r.send(t.Context(), thief); !o.worked(r) {
			t.Errorf("%s: got %+v", r.name, o)
		}
		lines := log.take()
		if want := map[bool]int{false: 1, true: 2}[r.toAll]; len(lines) != want {
			t.Errorf("%s: the audit log has %q", r.name, lines)
		}
		for _, line := range lines {
			for _, part := range []string{
				`verdict="would deny"`, `reason="Matched L4 intention: `, "/svc/thief", "topic=" + topic, "method=" + r.method, "delivery=" + string(r.got),
			} {
				if !strings.Contains(line, part) {
					t.Errorf("%s: no %s in %s", r.name, part, line)
				}
			}
		}
	}
}

// A changed intention takes effect on existing connections. An intention that only proxies can
// evaluate denies, and the reason says so.
func TestIntentionsChange(t *testing.T) {
	m := newMesh(t, "unary")
	web := m.client(t, "web")
	await(t, web, true)
	m.intend(t, source("web", api.IntentionActionDeny))
	await(t, web, false)
	m.intend(t, source("web", api.IntentionActionAllow))
	await(t, web, true)
	_, _, err := m.consul.ConfigEntries().Set(&api.ServiceConfigEntry{Kind: api.ServiceDefaults, Name: ofTopic, Protocol: "http"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.intend(t, &api.SourceIntention{Name: "web", Permissions: []*api.IntentionPermission{
		{Action: api.IntentionActionAllow, HTTP: &api.IntentionHTTPPermission{PathPrefix: "/"}},
	}})
	await(t, web, false)
	_, err = oslorpc.Call[string](t.Context(), web, "whoami", nil)
	if err == nil || !strings.Contains(err.Error(), "Matched L7 intention") || !strings.Contains(err.Error(), "is for proxies") {
		t.Errorf("got %v", err)
	}
}

// If an agent refuses a certificate, both ends report the cause and the remedy at once.
func TestAgentRefusesCertificates(t *testing.T) {
	agent := consultest.Start(t, consultest.ACLs, "connect { enabled = true }")
	open := func(policy string) *oslorpc.Transport {
		tr, err := oslorpc.Open(agent.URL()+"?connect=native&service=stores&consul-token-file="+agent.TokenFile(t, policy),
			oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tr.Close() })
		return tr
	}
	const all = `service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }`
	const others = `service_prefix "oslorpc-" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }`
	start := func(tr *oslorpc.Transport) error {
		s := tr.Server(oslorpc.Target{Topic: topic, Server: "node1"})
		s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"echo": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return "", nil })}})
		return s.Start(t.Context())
	}
	if err := start(open(all)); err != nil {
		t.Fatal(err)
	}
	refused := open(others)
	_, callErr := oslorpc.Call[string](t.Context(), refused.Client(oslorpc.Target{Topic: topic}), "echo", nil)
	for _, err := range []error{callErr, start(refused)} {
		if err == nil || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "policy write for service stores") {
			t.Errorf("got %v", err)
		}
	}
	if !errors.Is(callErr, rpc.Untrusted) {
		t.Errorf("got %v", callErr)
	}
	// With ACLs, everything that no intention allows is denied.
	_, err := oslorpc.Call[string](t.Context(), open(all).Client(oslorpc.Target{Topic: topic}), "echo", nil)
	if !errors.Is(err, rpc.AccessDenied) || !strings.Contains(err.Error(), "consul intention create -allow stores "+ofTopic) {
		t.Errorf("got %v", err)
	}
}

// A server that does not prove that it serves the topic gets no message. Here it has a certificate
// for another topic of the same process and service.
func TestServersProveTheirTopic(t *testing.T) {
	m := newMesh(t, "unary")
	m.serve(t, "stores", "billing", "node3")
	there, _, err := m.consul.Health().Service("oslorpc-openstack-billing", "", true, nil)
	if err != nil || len(there) != 1 {
		t.Fatal(there, err)
	}
	// The registry claims that the server of billing also serves the inventory.
	lie := &api.AgentServiceRegistration{
		ID: "lie", Name: ofTopic, Address: there[0].Service.Address, Port: there[0].Service.Port, Meta: map[string]string{
			"rpc-exchange": "openstack", "rpc-topic": topic, "rpc-server": "impostor", "rpc-instance": "b.1", "rpc-boot": "b", "rpc-state": "active",
		},
	}
	if err := m.consul.Agent().ServiceRegister(lie); err != nil {
		t.Fatal(err)
	}
	c := m.client(t, "web").Prepare(oslorpc.WithServer("impostor"), oslorpc.WithVersion(oslorpc.None))
	_, err = oslorpc.Call[string](t.Context(), c, "whoami", nil)
	if !errors.Is(err, rpc.Untrusted) || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "/svc/"+ofTopic) ||
		!strings.Contains(err.Error(), "/svc/stores") {
		t.Errorf("got %v", err)
	}
}

// A process serves several topics with a separate certificate for each, and each message is checked
// for its topic.
func TestTopicsOfOneProcess(t *testing.T) {
	m := newMesh(t, "unary")
	tr := m.open(t, "stores")
	for _, name := range []string{"one", "two"} {
		s := tr.Server(oslorpc.Target{Topic: name, Server: "both"})
		s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"where": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) {
			return name, nil
		})}})
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := m.consul.ConfigEntries().Set(&api.ServiceIntentionsConfigEntry{
		Kind: api.ServiceIntentions, Name: "oslorpc-openstack-two", Sources: []*api.SourceIntention{source("web", api.IntentionActionDeny)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	web := m.open(t, "web")
	for _, test := range []struct {
		topic  string
		denied bool
	}{{"one", false}, {"two", true}, {"one", false}} {
		got, err := oslorpc.Call[string](t.Context(), web.Client(oslorpc.Target{Topic: test.topic}), "where", nil)
		if errors.Is(err, rpc.AccessDenied) != test.denied || err == nil && got != test.topic {
			t.Errorf("%s: got %q, %v", test.topic, got, err)
		}
	}
}

// The authority of the mesh is replaced while messages are outstanding. None fails.
func TestAuthorityRotates(t *testing.T) {
	for _, carrier := range []string{"unary", "session"} {
		t.Run(carrier, func(t *testing.T) {
			m := newMesh(t, carrier)
			web := m.client(t, "web")
			await(t, web, true)
			before := m.authority(t)
			var calls, failures atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					if _, err := oslorpc.Call[string](context.WithoutCancel(ctx), web, "whoami", nil); err != nil {
						failures.Add(1)
						t.Error(err)
					}
					calls.Add(1)
				}
			}()
			for range 2 {
				m.rotate(t)
				for at := calls.Load(); calls.Load() < at+100; time.Sleep(time.Millisecond) {
				}
			}
			// New connections use the new authority at both ends.
			fresh := m.client(t, "web")
			await(t, fresh, true)
			stop()
			<-ended
			if after := m.authority(t); after == before {
				t.Error("the authority was not replaced")
			}
			t.Logf("%d calls, %d failures", calls.Load(), failures.Load())
		})
	}
}

// authority returns the ID of the authority that signs.
func (m *mesh) authority(t *testing.T) string {
	t.Helper()
	roots, _, err := m.consul.Agent().ConnectCARoots(nil)
	if err != nil {
		t.Fatal(err)
	}
	return roots.ActiveRootID
}

// rotate replaces the authority.
func (m *mesh) rotate(t *testing.T) {
	t.Helper()
	before := m.authority(t)
	config, _, err := m.consul.Connect().CAGetConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config.Config["PrivateKey"] = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	if _, err := m.consul.Connect().CASetConfig(config, nil); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); m.authority(t) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the authority was not replaced")
		}
	}
}
