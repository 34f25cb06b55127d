package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// answerWithin is the time limit for requests that Consul answers at once.
const answerWithin = 5 * time.Second

var errNoAnswer = errors.New("the agent did not answer in time")

// client makes the requests to Consul. Its errors are *rpc.Errors.
//
// Consul limits the connections from one address, which all programs of a host share
// (limits.http_max_conns_per_client, 200). Beats, the reports that keep the registration alive,
// must always get a connection. So three kinds of requests have separate connections: requests
// about this process's registrations, including beats; other requests that are answered at once;
// and queries that wait for changes. The first two kinds keep their connections open.
type client struct {
	// own is for this process's registrations, which only the agent that accepted them knows. Api
	// is for questions that all agents can answer, and waiting is for queries that wait until an
	// answer changes.
	own, api, waiting *api.Client
	// holder selects the agent for own; agents selects it for the others.
	holder, agents *agents
	guard          guard
	addr, dc       string
	// native is true if the process is a native member of Connect. Its services are then registered
	// as Connect native.
	native bool
	// reads is the HTTP client of api, for requests that package api cannot make.
	reads *http.Client
	// anonymous is true if requests have no ACL token, unless the agent adds its own.
	anonymous  bool
	maxAnswer  int
	transports []*http.Transport
}

const (
	// ownConnections and readConnections are the maximum numbers of connections for own and api.
	ownConnections  = 2
	readConnections = 2
)

func newClient(s settings) (*client, error) {
	c := &client{addr: strings.Join(s.addrs, ","), dc: s.dc, native: s.native.on, holder: newAgents(s.addrs), agents: newAgents(s.addrs), maxAnswer: cmp.Or(s.maxAnswer, maxAnswer)}
	config := api.DefaultConfig()
	config.Address, config.Scheme = s.addrs[0], "http"
	if s.tls.on {
		config.Scheme = "https"
	}
	if _, err := s.tls.config(""); err != nil && s.tls.on {
		return nil, invalid("TLS to Consul at %s: %v", c.addr, err)
	}
	within := answerWithin / time.Duration(len(s.addrs)) // leave time to try all agents
	ownBase := c.base(&s.tls, newTransport(within, ownConnections))
	c.guard = guard{agents: c.agents, base: ownBase, scheme: config.Scheme}
	var err error
	if c.own, _, err = c.newAPI(config, s, c.holder, ownBase); err != nil {
		return nil, err
	}
	if c.api, c.reads, err = c.newAPI(config, s, c.agents, c.base(&s.tls, newTransport(within, readConnections))); err != nil {
		return nil, err
	}
	c.waiting, _, err = c.newAPI(config, s, c.agents, c.base(&s.tls, newTransport(within, 0)))
	return c, err
}

// base prepares a transport for TLS.
func (c *client) base(s *tlsSettings, transport *http.Transport) http.RoundTripper {
	c.transports = append(c.transports, transport)
	s.secure(transport) // it has no effect on requests without TLS
	return bounded{transport, c.maxAnswer}
}

func (c *client) newAPI(config *api.Config, s settings, of *agents, base http.RoundTripper) (*api.Client, *http.Client, error) {
	withToken, err := newTokenTransport(s.tokenFile, base)
	if err != nil {
		return nil, nil, invalid("Consul at %s: %v", c.addr, err)
	}
	c.anonymous = withToken.file == "" && withToken.token == ""
	with := *config
	with.HttpClient = &http.Client{Transport: of.through(withToken)}
	made, err := api.NewClient(&with)
	if err != nil {
		return nil, nil, invalid("Consul at %s: %v", c.addr, err)
	}
	return made, with.HttpClient, nil
}

func (c *client) close() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// do makes a request that Consul answers at once, within answerWithin. Doing describes it in
// errors. While the agent refuses the connection because the host has too many, do tries again.
func (c *client) do(ctx context.Context, doing string, request func(*api.QueryOptions) error) error {
	within, cancel := context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
	defer cancel()
	end, _ := within.Deadline()
	var refused error // the last attempt that failed for lack of a connection
	for {
		err := request(new(api.QueryOptions).WithContext(within))
		pause := jitter(busyPause)
		switch {
		case err == nil:
			return nil
		case refused != nil && silent(within): // refused says more than the error that there was no answer
			return c.failure(ctx, doing, refused)
		case code(err) != http.StatusTooManyRequests || time.Until(end) <= pause:
			return c.failure(within, doing, err)
		}
		refused = err
		sleep(within, pause, nil)
	}
}

// busyPause is the pause between attempts to get a connection.
const busyPause = 200 * time.Millisecond

// registered returns the services of a process that the agent knows, by their ids.
func (c *client) registered(ctx context.Context, bootID string) (services map[string]*api.AgentService, err error) {
	filter := fmt.Sprintf("Meta[%q] == %q", metaBoot, bootID)
	err = c.do(ctx, "looking at what this process registered", func(q *api.QueryOptions) (err error) {
		services, err = c.own.Agent().ServicesWithFilterOpts(filter, q)
		return err
	})
	return services, err
}

// register registers a service, or changes it. Checks that exist already stay as they are,
// including checks of other programs, such as the check of maintenance mode.
func (c *client) register(ctx context.Context, s *api.AgentServiceRegistration) error {
	if c.native && !isProcess(s.Name) {
		s.Connect = &api.AgentServiceConnect{Native: true}
	}
	c.holder.pin()                                                                                // even before the request: another agent could neither change nor remove the service
	return c.do(ctx, "registering service "+s.Name+" as "+s.ID, func(q *api.QueryOptions) error { //nolint:contextcheck // It is in q.
		return c.own.Agent().ServiceRegisterOpts(s, api.ServiceRegisterOpts{}.WithContext(q.Context()))
	})
}

// deregister makes sure that no service with this id is registered.
func (c *client) deregister(ctx context.Context, id string) error {
	return c.do(ctx, "deregistering service "+id, func(q *api.QueryOptions) error {
		return unless404(c.own.Agent().ServiceDeregisterOpts(id, q))
	})
}

// beat reports to a check that the process is alive. It returns whether the check exists.
func (c *client) beat(ctx context.Context, check, note string) (exists bool, err error) {
	err = c.do(ctx, "sending a sign of life", func(q *api.QueryOptions) error {
		err := c.own.Agent().UpdateTTLOpts(check, note, api.HealthPassing, q)
		exists = err == nil
		return unless404(err)
	})
	return exists, err
}

// holds reports whether the agent has the check of a registration, and the check belongs to the
// registration's service.
func (c *client) holds(ctx context.Context, r *registration) (is bool, err error) {
	err = c.do(ctx, "looking at the checks of "+r.ID, func(q *api.QueryOptions) error {
		checks, err := c.own.Agent().ChecksWithFilterOpts(fmt.Sprintf("CheckID == %q", r.Check.CheckID), q)
		check := checks[r.Check.CheckID]
		is = check != nil && check.ServiceID == r.ID
		return err
	})
	return is, err
}

// dropCheck deregisters the check of a registration, unless the check belongs to another service.
func (c *client) dropCheck(ctx context.Context, r *registration) error {
	holds, err := c.holds(ctx, r)
	if err != nil || !holds {
		return err
	}
	return c.do(ctx, "deregistering a check of "+r.ID, func(q *api.QueryOptions) error {
		return unless404(c.own.Agent().CheckDeregisterOpts(r.Check.CheckID, q))
	})
}
