package consul

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// The agent that we registered at may be well while others do not see us: the cluster has lost
// sight of the host, or an operator removed this process from the cluster's catalog. The agent
// puts that right within minutes, and tells nothing. So we look where others look.
type sight struct {
	publisher *publisher
	process   *registration
	// repair asks for what was taken away to be registered again.
	repair func()

	// node is the name of our host in Consul, empty until we saw ourselves there.
	node string
	// before and now are what the catalog said at the last two looks.
	before, now map[string]checkState
	// seen has the checks of wanted instances that the catalog ever had.
	seen map[string]bool
	// critical names a check that is so now, and flapped is true if one may have been so since the
	// last look.
	critical string
	flapped  bool
	// told is how many lapses were told at the last look.
	told int64
	// why others do not see us, or did not; empty while they do.
	why string
}

// checkState is what the catalog says of a check.
type checkState struct {
	status, output string
	modified       uint64
}

// sightEvery returns the pause between looks.
func sightEvery(ttl time.Duration) time.Duration { return min(2*beatEvery(ttl), 10*time.Second) }

// run looks until ctx ends. Its failures are of no interest: when it works again it shows what
// happened.
func (s *sight) run(ctx context.Context) {
	for sleep(ctx, jitter(sightEvery(s.publisher.ttl)), nil) {
		s.glance(ctx)
	}
}

// glance finds the host, and then looks once.
func (s *sight) glance(ctx context.Context) {
	c := s.publisher.client
	if s.node == "" {
		s.node, _ = c.nodeOf(ctx, s.process)
		return
	}
	wanted, err := s.wanted(ctx)
	if err != nil {
		return
	}
	checks, err := c.checks(ctx, s.node)
	if err != nil || len(checks) == 0 && s.moved(ctx) {
		return
	}
	s.look(ctx, checks, wanted)
}

// moved reports whether the host may be in Consul by another name, as after its agent was renamed,
// and learns that: else everything would look as if it were gone, and be removed to be registered
// again, time and again.
func (s *sight) moved(ctx context.Context) bool {
	node, err := s.publisher.client.nodeOf(ctx, s.process)
	if err == nil && (node == "" || node == s.node) {
		return false
	}
	if err == nil {
		s.node = node
	}
	return true
}

// wanted returns the ids of the services of our instances.
func (s *sight) wanted(ctx context.Context) (ids []string, err error) {
	p := s.publisher
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	for _, w := range p.wanted {
		if w.ID != s.process.ID {
			ids = append(ids, w.ID)
		}
	}
	return ids, nil
}

// look takes in the checks of our host, and tells of a lapse when it is over.
func (s *sight) look(ctx context.Context, checks api.HealthChecks, wanted []string) {
	mine := map[string]*api.HealthCheck{}
	s.now, s.critical, s.flapped = map[string]checkState{}, "", false
	for _, c := range checks {
		switch {
		case c == nil || c.CheckID == api.NodeMaint:
		case c.ServiceID == "":
			s.note(c)
		default:
			mine[c.CheckID] = c
		}
	}
	missing, seen := false, map[string]bool{}
	for _, id := range wanted {
		check := instanceCheckID(id)
		c := mine[check]
		if seen[check] = c != nil || s.seen[check]; c != nil {
			s.note(c)
		} else if seen[check] {
			missing = s.remove(ctx, id) || missing
			s.now[check] = s.before[check] // if it stays, it is told of when it is back
		}
	}
	s.before, s.seen = s.now, seen
	if missing {
		s.repair() // which tells of it
	}
	s.judge()
}

// note takes in a check that makes others see us or not.
func (s *sight) note(c *api.HealthCheck) {
	is := checkState{c.Status, c.Output, c.ModifyIndex}
	was, known := s.before[c.CheckID]
	s.now[c.CheckID] = is
	if is.status == api.HealthCritical {
		s.critical = fmt.Sprintf("the check %q was critical", c.Name)
	}
	// It can have been critical in between, or gone, and be as before but for the index.
	s.flapped = s.flapped || known && is.status == api.HealthPassing && is.status == was.status && is.output == was.output && is != was
}

// judge tells of a lapse when it is over, unless the heart did already.
func (s *sight) judge() {
	if told := s.publisher.told.Load(); told != s.told {
		s.told, s.why, s.flapped = told, "", false
	}
	switch {
	case s.critical != "":
		s.why = s.critical
	case s.why != "" || s.flapped:
		s.publisher.lapsed("others did not see this process in Consul: " + or(s.why, "a check was critical or gone for a moment"))
		s.told, s.why = s.publisher.told.Load(), ""
	}
}

// remove takes a service that the catalog lacks from the agent too: it would not tell the catalog
// of a service that it thinks is there if that is registered again. A service in maintenance
// stays, since maintenance would be lost; the agent finds out by itself.
func (s *sight) remove(ctx context.Context, id string) (removed bool) {
	c := s.publisher.client
	maintained, err := c.maintained(ctx, id)
	return err == nil && !maintained && c.deregister(ctx, id) == nil
}

// nodeOf returns the name of the host on which the catalog has the service of a process. It is
// empty if the catalog lacks the service or the token may not read it.
func (c *client) nodeOf(ctx context.Context, process *registration) (node string, err error) {
	err = c.do(ctx, "looking for the process in the catalog", func(q *api.QueryOptions) error {
		q.Filter = fmt.Sprintf("Service.ID == %q", process.ID)
		entries, _, err := c.api.Health().Service(process.Name, "", false, q)
		for _, e := range entries {
			if e != nil && e.Node != nil {
				node = e.Node.Node
			}
		}
		return err
	})
	return node, err
}

// checks returns what the catalog has of a host: the checks of the host itself and of services of
// our kind. An empty list that there may be for want of a permission is an error.
func (c *client) checks(ctx context.Context, node string) (checks api.HealthChecks, err error) {
	err = c.do(ctx, "looking at the checks of "+node, func(q *api.QueryOptions) error {
		q.Filter = fmt.Sprintf("ServiceID == \"\" or ServiceID matches %q", "^"+prefix)
		var meta *api.QueryMeta
		checks, meta, err = c.api.Health().Node(url.PathEscape(node), q)
		switch {
		case err != nil:
			return err
		case checks == nil:
			return errNull
		case len(checks) == 0 && mayHide(meta):
			return errHidden
		}
		return nil
	})
	return checks, err
}

// maintained reports whether the agent has a service in maintenance.
func (c *client) maintained(ctx context.Context, id string) (is bool, err error) {
	err = c.do(ctx, "looking at the health of "+id, func(q *api.QueryOptions) error {
		_, info, err := c.own.Agent().AgentHealthServiceByIDOpts(id, q)
		if err == nil && info != nil {
			for _, check := range info.Checks {
				is = is || check != nil && strings.HasPrefix(check.CheckID, api.ServiceMaintPrefix)
			}
		}
		return err
	})
	return is, err
}
