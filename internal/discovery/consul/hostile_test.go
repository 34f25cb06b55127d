package consul

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var (
	pay  = registry.Topic{Exchange: "openstack", Name: "pay"}
	evil = registry.Topic{Exchange: "openstack", Name: "evil"}
)

// siege is a fleet with one server on the topic pay, and a hostile program at the same agent. The
// hostile program has the documented policies of a server on the topic evil and of a client of pay.
type siege struct {
	*testing.T

	agent   *consultest.Agent
	server  *Registry
	one     rpc.Instance
	lapses  <-chan string
	watch   watched
	hostile *api.Client
	node    string
}

func besiege(t *testing.T) *siege {
	t.Helper()
	s := &siege{T: t, agent: consultest.Start(t, consultest.ACLs), one: instance("one")}
	s.one.Exchange, s.one.Topic = pay.Exchange, pay.Name
	policies := consultest.Policies(t, "../../../docs/discovery.md")
	policy := func(role string, topic registry.Topic) string {
		if policies[role] == "" {
			t.Fatalf("docs/discovery.md has no policy for %s", role)
		}
		return strings.ReplaceAll(policies[role], "oslorpc-openstack-demo", serviceName(topic))
	}
	const server, client = "a server on the topic demo", "a client of the topic demo"
	s.server = open(t, s.agent.URL()+"?ttl=2s&consul-token-file="+s.agent.TokenFile(t, policy(server, pay)))
	s.server.publisher.unseenFor = time.Second
	s.lapses = lapsesOf(s.server)
	publish(t, s.server, s.one)
	caller := open(t, s.agent.URL()+"?consul-token-file="+s.agent.TokenFile(t, policy(client, pay)))
	s.watch = watched{t, make(chan registry.Update, 1000)}
	t.Cleanup(caller.Watch(pay, func(u registry.Update) { s.watch.updates <- u }))
	s.watch.list(s.one)
	s.hostile = s.agent.Client(t, s.agent.NewToken(t, policy(server, evil)+policy(client, pay)))
	s.node = s.entries(s.hostile)[0].Node.Node
	return s
}

// entries returns the entries of the topic pay that a program sees.
func (s *siege) entries(by *api.Client) []*api.ServiceEntry {
	s.Helper()
	entries, _, err := by.Health().Service(serviceName(pay), "", false, nil)
	must(s.T, err)
	return entries
}

// untouched fails the test if the callers saw the server leave or change.
func (s *siege) untouched() {
	s.Helper()
	for {
		select {
		case u := <-s.watch.updates:
			if u.Err != nil || !registry.Same(u.Instances, []rpc.Instance{s.one}) {
				s.Errorf("callers were told of %+v", u)
			}
		default:
			noneTold(s.T, s.lapses)
			return
		}
	}
}

// holdsChecks waits until the agent and the catalog have the server's own checks again, and the
// checks pass.
func (s *siege) holdsChecks() {
	s.Helper()
	admin := s.agent.Client(s.T, consultest.Token)
	eventually(s.T, "the server has its checks", func() bool {
		p := s.server.publisher
		must(s.T, p.take(s.Context()))
		wanted := p.wanted
		p.give()
		local, err := admin.Agent().Checks()
		must(s.T, err)
		known, _, err := admin.Health().Node(s.node, nil)
		must(s.T, err)
		for _, r := range wanted {
			check, passing := local[r.Check.CheckID], false
			for _, c := range known {
				passing = passing || c.CheckID == r.Check.CheckID && c.ServiceID == r.ID && c.Status == api.HealthPassing
			}
			if check == nil || check.ServiceID != r.ID || !passing {
				return false
			}
		}
		return true
	})
}

// TestHostileRequests has a hostile program that tries requests which Consul must refuse.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	process := s.server.publisher.wanted[0]
	r := registrationOf(t, s.server, s.one)
	agent := s.hostile.Agent()
	taking := func(id, name string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{ID: id, Name: name, Address: "127.0.0.1", Port: 1, Meta: r.Meta}
	}
	critical := api.AgentServiceCheck{TTL: "1h", Status: api.HealthCritical}
	for what, err := range map[string]error{
		"list as pay":                agent.ServiceRegister(taking("x", serviceName(pay))),
		"list a process of pay":      agent.ServiceRegister(taking("x", processName(pay))),
		"take the instance":          agent.ServiceRegister(taking(r.ID, serviceName(evil))),
		"take the process":           agent.ServiceRegister(taking(process.ID, serviceName(evil))),
		"deregister the instance":    agent.ServiceDeregister(r.ID),
		"deregister the process":     agent.ServiceDeregister(process.ID),
		"maintain the instance":      agent.EnableServiceMaintenance(r.ID, ""),
		"maintain the process":       agent.EnableServiceMaintenance(process.ID, ""),
		"maintain the node":          agent.EnableNodeMaintenance(""),
		"fail the process":           agent.UpdateTTL(process.Check.CheckID, "", api.HealthCritical),
		"fail the instance":          agent.UpdateTTL(r.Check.CheckID, "", api.HealthCritical),
		"deregister a check":         agent.CheckDeregister(r.Check.CheckID),
		"add a check to an instance": agent.CheckRegister(&api.AgentCheckRegistration{Name: "x", ServiceID: r.ID, AgentServiceCheck: critical}),
		"add a check to a process":   agent.CheckRegister(&api.AgentCheckRegistration{Name: "x", ServiceID: process.ID, AgentServiceCheck: critical}),
		"add a check to the node":    agent.CheckRegister(&api.AgentCheckRegistration{Name: "x", AgentServiceCheck: critical}),
		"proxy the topic": agent.ServiceRegister(&api.AgentServiceRegistration{
			ID: "x", Name: serviceName(evil), Kind: api.ServiceKindConnectProxy, Port: 1,
			Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: serviceName(pay)},
		}),
		"register in the catalog": s.inCatalog(&api.AgentService{ID: "x", Service: serviceName(pay)}),
		"take in the catalog":     s.inCatalog(&api.AgentService{ID: r.ID, Service: serviceName(evil)}),
		"fail in the catalog": s.inCatalog(nil, &api.HealthCheck{
			Node: s.node, ServiceID: r.ID, CheckID: "x", Name: "x", Status: api.HealthCritical,
		}),
		"deregister in the catalog": s.fromCatalog(&api.CatalogDeregistration{Node: s.node, ServiceID: r.ID}),
		"deregister the node":       s.fromCatalog(&api.CatalogDeregistration{Node: s.node}),
	} {
		if err == nil || !strings.Contains(err.Error(), "ermission denied") {
			t.Errorf("%s: %v, want Consul to deny it", what, err)
		}
	}
	checks, err := agent.Checks()
	must(t, err)
	if checks[process.Check.CheckID] != nil {
		t.Error("it sees the check that keeps the server alive")
	}
	s.untouched()
}

func (s *siege) inCatalog(service *api.AgentService, checks ...*api.HealthCheck) error {
	_, err := s.hostile.Catalog().Register(&api.CatalogRegistration{Node: s.node, SkipNodeUpdate: true, Service: service, Checks: checks}, nil)
	return err
}

func (s *siege) fromCatalog(d *api.CatalogDeregistration) error {
	_, err := s.hostile.Catalog().Deregister(d, nil)
	return err
}

// TestStolenChecks has a hostile program that takes over the checks of the server, which Consul
// allows, at the agent and in the catalog.
func TestStolenChecks(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	stealing := func(check string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{ID: "thief", Name: serviceName(evil), Check: &api.AgentServiceCheck{
			CheckID: check, TTL: "1h", Status: api.HealthCritical,
		}}
	}
	seen := func() { // before it has seen its check in the catalog, it does not miss it
		s.holdsChecks()
		look := &sight{publisher: s.server.publisher, repair: func() {}}
		eventually(t, "it sees itself", func() bool {
			look.glance(t.Context())
			return look.seen[registrationOf(t, s.server, s.one).Check.CheckID]
		})
	}
	seen()
	for range 2 {
		check := registrationOf(t, s.server, s.one).Check.CheckID
		must(t, s.hostile.Agent().ServiceRegister(stealing(check)))
		must(t, s.hostile.Agent().UpdateTTL(check, "", api.HealthCritical))
		s.holdsChecks()
	}
	// The hostile program cannot know this ID, so only the test can do this.
	must(t, s.hostile.Agent().ServiceRegister(stealing(s.server.publisher.wanted[0].Check.CheckID)))
	s.holdsChecks()

	must(t, s.hostile.Agent().ServiceDeregister("thief"))
	check := registrationOf(t, s.server, s.one).Check.CheckID
	must(t, s.inCatalog(&api.AgentService{ID: "thief", Service: serviceName(evil)}, &api.HealthCheck{
		Node: s.node, ServiceID: "thief", CheckID: check, Name: "x", Status: api.HealthCritical,
	}))
	s.holdsChecks()
	s.untouched()
}

// TestStolenIDs has a hostile program that takes the IDs of the server while Consul has lost the
// server.
func TestStolenIDs(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	process, r := s.server.publisher.wanted[0], registrationOf(t, s.server, s.one)
	admin := s.agent.Client(t, consultest.Token)
	for _, id := range []string{process.ID, r.ID} {
		must(t, admin.Agent().ServiceDeregister(id))
		must(t, s.hostile.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: serviceName(evil), Meta: r.Meta}))
	}
	told(t, s.lapses, "lost the registration")
	s.holdsChecks()
	s.watch.list(s.one)

	// This changes only the catalog.
	r = registrationOf(t, s.server, s.one)
	_, err := admin.Catalog().Deregister(&api.CatalogDeregistration{Node: s.node, ServiceID: r.ID}, nil)
	must(t, err)
	must(t, s.inCatalog(&api.AgentService{ID: r.ID, Service: serviceName(evil)}))
	told(t, s.lapses, "lost the registration")
	s.holdsChecks()
	if len(s.entries(s.hostile)) != 1 {
		t.Errorf("the topic has %v", s.entries(s.hostile))
	}
}

// TestContradiction has a service whose metadata names another topic than its service name. The
// service is ignored, which is logged once.
func TestContradiction(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	lie := registrationOf(t, s.server, s.one)
	for _, name := range []string{serviceName(evil), processName(evil)} {
		must(t, s.hostile.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "lie-" + name, Name: name, Address: "127.0.0.1", Port: 1, Meta: lie.Meta}))
	}
	log := &lockedBuffer{}
	management := s.agent.TokenFile(t, `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`)
	r, err := Open(s.agent.URL()+"?consul-token-file="+management, slog.New(slog.NewTextHandler(log, nil)))
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.Background())) })
	eventually(t, "List sees the lie", func() bool {
		list, err := r.List(t.Context())
		if err != nil || !registry.Same(list, []rpc.Instance{s.one}) {
			t.Fatalf("List: %v, %v, want the server on pay", list, err)
		}
		return strings.Contains(log.String(), "lie-"+serviceName(evil))
	})
	_, err = r.List(t.Context())
	must(t, err)
	w := watched{t, make(chan registry.Update, 10)}
	stop := r.Watch(evil, func(u registry.Update) { w.updates <- u })
	w.list()
	stop()
	if text := log.String(); strings.Count(text, "lie-") != 2 || !strings.Contains(text, "metadata says topic") {
		t.Errorf("List and Watch logged, where each should say it once:\n%s", text)
	}
	s.untouched()
}
