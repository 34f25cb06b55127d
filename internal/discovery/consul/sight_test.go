package consul

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// lapsesOf collects the lapses that a registry reports.
func lapsesOf(r *Registry) <-chan string {
	lapses := make(chan string, 100)
	r.Lapses(func(reason string) { lapses <- reason })
	return lapses
}

// told waits for a lapse.
func told(t *testing.T, lapses <-chan string, text string) {
	t.Helper()
	select {
	case reason := <-lapses:
		if !strings.Contains(reason, text) {
			t.Errorf("a lapse because %s, want one because of %q", reason, text)
		}
	case <-time.After(patience):
		t.Fatalf("no lapse was told of, want one because of %q", text)
	}
}

func noneTold(t *testing.T, lapses <-chan string) {
	t.Helper()
	select {
	case reason := <-lapses:
		t.Errorf("a lapse because %s", reason)
	default:
	}
}

// TestTakenFromCatalog removes a server from the catalog of the cluster, as an operator may do. The
// server's agent does not notice.
func TestTakenFromCatalog(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r, observer := open(t, agent.URL()+"?ttl=1s"), open(t, agent.URL())
	lapses := lapsesOf(r)
	one, two := instance("one"), instance("two")
	two.BootID = one.BootID
	w := watchCompute(t, observer)
	// Our own changes are not lapses.
	for _, state := range []rpc.State{rpc.StateHeld, rpc.StateActive, rpc.StateDraining, rpc.StateActive} {
		one.State = state
		publish(t, r, one, two)
		w.list(one, two)
		<-time.After(2 * sightEvery(time.Second))
	}
	noneTold(t, lapses)

	catalog := observer.client.api.Catalog()
	nodes, _, err := catalog.Nodes(nil)
	must(t, err)
	start := time.Now()
	_, err = catalog.Deregister(&api.CatalogDeregistration{Node: nodes[0].Node, ServiceID: registrationOf(t, r, one).ID}, nil)
	must(t, err)
	w.list(two)
	w.list(one, two)
	within(t, start, 10*time.Second, "being listed again")
	told(t, lapses, "lost the registration")
	<-time.After(4 * sightEvery(time.Second)) // it saw itself, or waits a little longer below
	_, err = catalog.Deregister(&api.CatalogDeregistration{Node: nodes[0].Node}, nil)
	must(t, err)
	w.list()
	w.list(one, two)
	told(t, lapses, "lost the registration")
	<-time.After(3 * sightEvery(time.Second))
	noneTold(t, lapses)
}

// TestDeregisteredByHand has an operator who deregisters a server at its agent.
func TestDeregisteredByHand(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r, observer := open(t, agent.URL()+"?ttl=1s"), open(t, agent.URL())
	lapses := lapsesOf(r)
	one := instance("one")
	w := watchCompute(t, observer)
	publish(t, r, one)
	w.list(one)
	<-time.After(4 * sightEvery(time.Second)) // it saw itself
	start := time.Now()
	must(t, observer.client.own.Agent().ServiceDeregister(registrationOf(t, r, one).ID))
	w.list()
	w.list(one)
	within(t, start, 10*time.Second, "being listed again")
	told(t, lapses, "lost the registration")
}

// TestTakenFromCatalogInMaintenance removes a server that is in maintenance. It must still be in
// maintenance afterwards.
func TestTakenFromCatalogInMaintenance(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r, observer := open(t, agent.URL()+"?ttl=1s"), open(t, agent.URL())
	lapses := lapsesOf(r)
	one := instance("one")
	publish(t, r, one)
	operator := observer.client.api.Agent()
	must(t, operator.EnableServiceMaintenance(registrationOf(t, r, one).ID, "testing"))
	w := watchCompute(t, observer)
	seen := one
	seen.State = rpc.StateDraining
	w.list(seen)
	<-time.After(3 * sightEvery(time.Second))
	nodes, _, err := observer.client.api.Catalog().Nodes(nil)
	must(t, err)
	_, err = observer.client.api.Catalog().Deregister(&api.CatalogDeregistration{Node: nodes[0].Node, ServiceID: registrationOf(t, r, one).ID}, nil)
	must(t, err)
	w.list()
	<-time.After(3 * sightEvery(time.Second))
	noneTold(t, lapses)
	checks, err := operator.ChecksWithFilter(`CheckID matches "maintenance"`)
	if err != nil || len(checks) != 1 {
		t.Errorf("checks for maintenance: %v, %v, want one", checks, err)
	}
}

// TestLostSightOf makes the cluster consider a server's host dead and then alive again. The TTL
// does not expire.
func TestLostSightOf(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t)
	agent := consultest.Join(t, server, fast)
	r := open(t, agent.URL()+"?ttl=5m")
	lapses := lapsesOf(r)
	one := instance("one")
	publish(t, r, one)
	w := watchCompute(t, open(t, server.URL()))
	w.list(one)
	s := &sight{publisher: r.publisher, repair: func() { t.Error("it repaired") }}
	look := func() {
		eventually(t, "the catalog was looked at", func() bool {
			wanted, err := s.wanted(t.Context())
			must(t, err)
			s.node, err = r.client.nodeOf(t.Context(), wanted[0])
			checks, err2 := r.client.checks(t.Context(), s.node)
			if err == nil && err2 == nil {
				s.look(t.Context(), checks, wanted[1:])
			}
			return err == nil && err2 == nil && s.node != ""
		})
	}
	look()
	look()
	agent.Pause()
	w.list()
	agent.Resume()
	w.list(one)
	look()
	told(t, lapses, "for a moment")
	noneTold(t, lapses)
	look()
	noneTold(t, lapses)

	// A check of the host is critical while we look.
	operator := r.client.own.Agent()
	must(t, operator.CheckRegister(&api.AgentCheckRegistration{
		ID: "disk", Name: "disk", AgentServiceCheck: api.AgentServiceCheck{TTL: "1h", Status: api.HealthCritical},
	}))
	w.list()
	look()
	noneTold(t, lapses)
	must(t, operator.UpdateTTL("disk", "", api.HealthWarning))
	w.list(one)
	look()
	told(t, lapses, `the check "disk" was critical`)
}

// TestRenamedHost gives a server's host another name in Consul, as after a restart of its agent
// with this name.
func TestRenamedHost(t *testing.T) {
	t.Parallel()
	r := open(t, consultest.Start(t).URL()+"?ttl=5m")
	lapses := lapsesOf(r)
	one := instance("one")
	publish(t, r, one)
	s := &sight{publisher: r.publisher, repair: func() { t.Error("it repaired") }}
	eventually(t, "it sees itself", func() bool {
		s.glance(t.Context())
		return s.seen[registrationOf(t, r, one).Check.CheckID]
	})
	name := s.node
	s.node = "former-name"
	s.glance(t.Context())
	services, err := r.client.registered(t.Context(), one.BootID)
	if err != nil || services[registrationOf(t, r, one).ID] == nil {
		t.Errorf("registered afterwards: %v, %v", services, err)
	}
	if s.node != name {
		t.Errorf("it looks for the host %q, which is %q now", s.node, name)
	}
	noneTold(t, lapses)
}

// fast makes the cluster notice a missing agent soon.
const fast = `gossip_lan { probe_interval = "100ms" probe_timeout = "100ms" suspicion_mult = 1 }`

// TestSight has checks that change between looks.
func TestSight(t *testing.T) {
	t.Parallel()
	check := func(status, output string, index uint64) *api.HealthCheck {
		return &api.HealthCheck{CheckID: "serfHealth", Name: "serf", Status: status, Output: output, ModifyIndex: index}
	}
	for name, test := range map[string]struct {
		looks []*api.HealthCheck
		want  []string
	}{
		"nothing":          {[]*api.HealthCheck{check("passing", "", 1), check("passing", "", 1)}, nil},
		"another text":     {[]*api.HealthCheck{check("passing", "", 1), check("passing", "ok", 2)}, nil},
		"a warning":        {[]*api.HealthCheck{check("passing", "", 1), check("warning", "", 2), check("warning", "x", 3)}, nil},
		"critical at once": {[]*api.HealthCheck{check("critical", "", 1), check("critical", "", 1), check("passing", "", 2)}, []string{"serf"}},
		"between looks":    {[]*api.HealthCheck{check("passing", "", 1), check("passing", "", 3), check("passing", "", 3)}, []string{"moment"}},
		"null":             {[]*api.HealthCheck{nil, check("passing", "", 1), nil}, nil},
	} {
		p := newPublisher(&client{}, time.Second, nil)
		var got []string
		p.lapsed = func(reason string) { got = append(got, reason) }
		s := &sight{publisher: p}
		for _, c := range test.looks {
			s.look(t.Context(), api.HealthChecks{c}, nil)
		}
		if !slices.EqualFunc(got, test.want, strings.Contains) {
			t.Errorf("%s: told %q, want %q", name, got, test.want)
		}
	}
}
