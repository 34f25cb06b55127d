package consul

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// answerWithin is how long a request may take that Consul answers at once.
const answerWithin = 5 * time.Second

var errNoAnswer = errors.New("no answer in time")

// client makes the requests. Its errors are [rpc.Error]s.
type client struct {
	// api asks what all agents know; own is for our registrations, which only the agent that took them knows.
	api, own *api.Client
	// holder is the agent, among several, for own.
	holder    *agents
	addr, dc  string
	transport *http.Transport
}

func newClient(s settings) (*client, error) {
	config := api.DefaultConfig()
	config.Address, config.Scheme = s.addrs[0], "http"
	if s.tls {
		config.Scheme = "https"
	}
	if s.caFile != "" {
		config.TLSConfig.CAFile = s.caFile
	}
	within := answerWithin / time.Duration(len(s.addrs)) // there must be time for the last one, too
	c := &client{addr: strings.Join(s.addrs, ","), dc: s.dc, transport: newTransport(within)}
	config.Transport = c.transport
	httpClient, err := api.NewHttpClient(config.Transport, config.TLSConfig)
	if err != nil {
		return nil, invalid("the TLS files for Consul at %s: %v", c.addr, err)
	}
	base, err := newTokenTransport(s.tokenFile, bounded{httpClient.Transport})
	if err != nil {
		return nil, invalid("Consul at %s: %v", c.addr, err)
	}
	c.holder = &agents{base: base, addrs: s.addrs}
	if c.api, err = newAPI(config, &agents{base: base, addrs: s.addrs}); err == nil {
		c.own, err = newAPI(config, c.holder)
	}
	if err != nil {
		return nil, invalid("Consul at %s: %v", c.addr, err)
	}
	return c, nil
}

func newAPI(config *api.Config, of *agents) (*api.Client, error) {
	with := *config
	with.HttpClient = &http.Client{Transport: of}
	return api.NewClient(&with)
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// do makes a request that is answered at once.
func (c *client) do(ctx context.Context, doing string, request func(*api.QueryOptions) error) error {
	within, cancel := context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
	defer cancel()
	err := request(new(api.QueryOptions).WithContext(within))
	if err == nil {
		return nil
	}
	return c.failure(within, doing, err)
}

// look returns the service of the agent with this id, nil if there is none.
func (c *client) look(ctx context.Context, id string) (found *api.AgentService, err error) {
	err = c.do(ctx, "looking at service "+id, func(q *api.QueryOptions) (err error) {
		found, _, err = c.own.Agent().Service(id, q)
		return unless404(err)
	})
	return found, err
}

// register registers a service, or changes it. Checks that are there already stay as they are; those of others, such as that of
// maintenance mode, too.
func (c *client) register(ctx context.Context, s *api.AgentServiceRegistration) error {
	c.holder.pin()                                                                  // before it may be there: another agent could neither change nor remove it
	return c.do(ctx, "registering service "+s.ID, func(q *api.QueryOptions) error { //nolint:contextcheck // It is in q.
		return c.own.Agent().ServiceRegisterOpts(s, api.ServiceRegisterOpts{}.WithContext(q.Context()))
	})
}

// deregister makes sure that there is no service with this id.
func (c *client) deregister(ctx context.Context, id string) error {
	return c.do(ctx, "deregistering service "+id, func(q *api.QueryOptions) error {
		return unless404(c.own.Agent().ServiceDeregisterOpts(id, q))
	})
}

// beat reports a sign of life to a check, and whether the check exists.
func (c *client) beat(ctx context.Context, check, note string) (exists bool, err error) {
	err = c.do(ctx, "sending a sign of life", func(q *api.QueryOptions) error {
		err := c.own.Agent().UpdateTTLOpts(check, note, api.HealthPassing, q)
		exists = err == nil
		return unless404(err)
	})
	return exists, err
}

// names returns the names of all services of instances in the data center.
func (c *client) names(ctx context.Context) (names []string, err error) {
	err = c.do(ctx, "listing services", func(q *api.QueryOptions) error {
		q.Datacenter = c.dc
		services, _, err := c.api.Catalog().Services(q)
		if err == nil && services == nil {
			return errNull
		}
		for name := range services {
			if strings.HasPrefix(name, prefix) && name != processName {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}

// services returns the services of a name, in whatever health.
func (c *client) services(ctx context.Context, name string) (entries []*api.ServiceEntry, err error) {
	err = c.do(ctx, "reading service "+name, func(q *api.QueryOptions) (err error) {
		q.Datacenter = c.dc
		var meta *api.QueryMeta
		entries, meta, err = c.api.Health().Service(name, "", false, q)
		return orHidden(entries, meta, err)
	})
	return entries, err
}

// maxWait is how long Consul holds a query back if nothing changes. It adds up to a sixteenth.
const maxWait = 5 * time.Minute

// changed is services once the index of the services is not the given one; 0 is none. It returns the index too.
func (c *client) changed(ctx context.Context, name string, index uint64) ([]*api.ServiceEntry, uint64, error) {
	within := answerWithin
	if index != 0 {
		within += maxWait + maxWait/16
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, errNoAnswer)
	defer cancel()
	entries, meta, err := c.api.Health().Service(name, "", false, c.watching(index).WithContext(ctx))
	if err = orHidden(entries, meta, err); err != nil {
		return nil, 0, c.failure(ctx, "watching service "+name, err)
	}
	return entries, meta.LastIndex, nil
}

// watching returns the options of a watch. Any server may answer, and there is no option (such as near) that would keep the agent
// from streaming.
func (c *client) watching(index uint64) *api.QueryOptions {
	return &api.QueryOptions{Datacenter: c.dc, AllowStale: true, WaitIndex: index, WaitTime: maxWait}
}
