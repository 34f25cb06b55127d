package consul

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// sight checks that other processes can see this process in Consul's catalog. The local agent may
// be healthy although they cannot: the cluster lost contact with the host, or an operator removed
// the process from the catalog. The agent corrects that within minutes, but does not report it. So
// sight reads the same catalog as the other processes.
type sight struct {
	publisher *publisher
	// repair makes the heart compare and correct all registrations.
	repair func()

	// node is the name of this host in Consul. It is empty until this process's service was found
	// in the catalog.
	node string
	// before and now are the states of the checks at the last two readings of the catalog.
	before, now map[string]checkState
	// seen has the checks of wanted instances that were in the catalog at some time. Unseen has the
	// other checks, with the time of the first look.
	seen   map[string]bool
	unseen map[string]time.Time
	// critical names a check that is critical now. Flapped is true if a check may have been
	// critical since the last look.
	critical string
	flapped  bool
	// told is the number of reported lapses at the last look.
	told int64
	// why is why other processes cannot see this process. It is kept until the lapse is reported,
	// and empty otherwise.
	why string
}

// checkState is the state of a check in the catalog.
type checkState struct {
	status, output string
	modified       uint64
}

// sightEvery returns the pause between looks.
func sightEvery(ttl time.Duration) time.Duration { return min(2*beatEvery(ttl), 10*time.Second) }

// run reads the catalog regularly until ctx ends. It ignores failures: the next successful reading
// shows what happened.
func (s *sight) run(ctx context.Context) {
	for sleep(ctx, jitter(sightEvery(s.publisher.ttl)), nil) {
		s.glance(ctx)
	}
}

// glance finds the name of the host if it is not known yet; otherwise it reads and evaluates the
// checks once.
func (s *sight) glance(ctx context.Context) {
	c := s.publisher.client
	wanted, err := s.wanted(ctx)
	if err != nil || len(wanted) == 0 {
		return
	}
	process, instances := wanted[0], wanted[1:]
	if s.node == "" {
		s.node, _ = c.nodeOf(ctx, process)
		return
	}
	checks, err := c.checks(ctx, s.node)
	if err != nil || len(checks) == 0 && s.moved(ctx, process) {
		return
	}
	s.look(ctx, checks, instances)
}

// moved reports whether the host may have another name in Consul now, for example because its agent
// was renamed, and stores the new name. Without that, all checks would seem to be missing under the
// old name, and would be registered again and again.
func (s *sight) moved(ctx context.Context, process *registration) bool {
	node, err := s.publisher.client.nodeOf(ctx, process)
	if err == nil && (node == "" || node == s.node) {
		return false
	}
	if err == nil {
		s.node = node
	}
	return true
}

// wanted returns the registrations that should exist: the process, then its instances.
func (s *sight) wanted(ctx context.Context) ([]*registration, error) {
	p := s.publisher
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	return p.wanted, nil
}

// look evaluates the checks of this host. It reports a lapse when the lapse is over.
func (s *sight) look(ctx context.Context, checks api.HealthChecks, instances []*registration) {
	mine := map[ids]*api.HealthCheck{}
	s.now, s.critical, s.flapped = map[string]checkState{}, "", false
	for _, c := range checks {
		switch {
		case c == nil || c.CheckID == api.NodeMaint:
		case c.ServiceID == "":
			s.note(c)
		default:
			mine[ids{c.ServiceID, c.CheckID}] = c
		}
	}
	seen, unseen := map[string]bool{}, map[string]time.Time{}
	var lacking []*registration
	for _, r := range instances {
		check := r.Check.CheckID
		c := mine[r.ids()] // a check with this id may be of another service
		if seen[check] = c != nil || s.seen[check]; c != nil {
			s.note(c)
			continue
		}
		lacking = append(lacking, r)
		if seen[check] {
			s.now[check] = s.before[check] // so that note notices a change when the check is back
		} else {
			unseen[check] = s.unseen[check]
			if unseen[check].IsZero() {
				unseen[check] = time.Now()
			}
		}
	}
	s.before, s.seen, s.unseen = s.now, seen, unseen
	if len(lacking) > 0 && s.restore(ctx, lacking) {
		s.repair() // the heart then reports the lapse
	}
	s.judge()
}

// note evaluates a check that decides whether other processes see this one.
func (s *sight) note(c *api.HealthCheck) {
	is := checkState{c.Status, c.Output, c.ModifyIndex}
	was, known := s.before[c.CheckID]
	s.now[c.CheckID] = is
	if is.status == api.HealthCritical {
		s.critical = fmt.Sprintf("the check %q was critical", c.Name)
	}
	// If only the index differs, the check may have been critical, or missing, in between.
	s.flapped = s.flapped || known && is.status == api.HealthPassing && is.status == was.status && is.output == was.output && is != was
}

// judge reports a lapse when it is over, unless the heart reported it already.
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

// restore prepares instances whose checks the catalog lacks for a new registration by the heart,
// and reports whether there are any.
//
// If the catalog lacks the service as well, although it had the service before or should have it by
// now, the service gets another id: the agent assumes that the catalog has the old id and would not
// send it again, and a service of another token may have taken it over. A service in maintenance
// keeps its id, since a new service would not be in maintenance; the agent corrects it later by
// itself. If the catalog lacks only the check, the check gets another id, since another token may
// have taken over the old one.
func (s *sight) restore(ctx context.Context, lacking []*registration) bool {
	p := s.publisher
	services, err := p.client.onNode(ctx, s.node, lacking[0].Meta[metaBoot])
	if err != nil {
		return false
	}
	renewed := map[string]ids{}
	gone := false
	for _, r := range lacking {
		switch {
		case services[r.ID] == r.Name:
			if p.client.dropCheck(ctx, r) == nil {
				renewed[r.ID] = ids{r.ID, newCheckID(r.ID)}
			}
		case s.seen[r.Check.CheckID] || time.Since(s.unseen[r.Check.CheckID]) > p.unseenFor:
			if maintained, err := p.client.maintained(ctx, r.ID); err == nil && !maintained {
				renewed[r.ID], gone = newIDs(r.instance.ID), true
			}
		}
	}
	if len(renewed) == 0 || p.take(ctx) != nil {
		return false
	}
	defer p.give()
	p.lost = p.lost || gone
	p.renew(func(r *registration) ids {
		names, is := renewed[r.ID]
		if !is {
			return r.ids()
		}
		p.placed[r.ID] = placement{registration: r} // so that place registers it again, or removes it
		return names
	})
	return true
}

// nodeOf returns the name of the host on which the catalog has the service of a process. The name
// is empty if the catalog lacks the service or the token may not read it.
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

// onNode returns the names of the services that the catalog has for a process on a host, by their
// ids.
func (c *client) onNode(ctx context.Context, node, bootID string) (names map[string]string, err error) {
	err = c.do(ctx, "looking at the services of "+node, func(q *api.QueryOptions) error {
		q.Filter = fmt.Sprintf("Meta[%q] == %q", metaBoot, bootID)
		list, _, err := c.api.Catalog().NodeServiceList(url.PathEscape(node), q)
		names = map[string]string{}
		if list != nil {
			for _, s := range list.Services {
				if s != nil {
					names[s.ID] = s.Service
				}
			}
		}
		return err
	})
	return names, err
}

// checks returns the checks that the catalog has for a host: the host's own checks, and the checks
// of oslorpc services. An empty list is an error if the reason may be a missing permission.
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
