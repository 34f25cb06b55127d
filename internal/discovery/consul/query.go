package consul

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// names returns the names of all instance services in the data center.
func (c *client) names(ctx context.Context) (names []string, err error) {
	err = c.do(ctx, "listing services", func(q *api.QueryOptions) (err error) { //nolint:contextcheck // It is in q.
		names, err = c.listNames(q)
		return err
	})
	return names, err
}

func (c *client) listNames(q *api.QueryOptions) (names []string, err error) {
	q.Datacenter = c.dc
	services, meta, err := c.api.Catalog().Services(q)
	if err != nil {
		return nil, err
	}
	if services == nil {
		return nil, errNull
	}
	for name := range services {
		if strings.HasPrefix(name, prefix) && !isProcess(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 && mayHide(meta) {
		return nil, c.mustRead(q.Context(), prefix)
	}
	return names, nil
}

// services returns the services of a name in any state of health, and the index. With stale, any
// Consul server may answer, and it may lag behind.
func (c *client) services(ctx context.Context, name string, stale bool) (entries []*api.ServiceEntry, index uint64, err error) {
	err = c.do(ctx, "reading service "+name, func(q *api.QueryOptions) (err error) { //nolint:contextcheck // It is in q.
		q.Datacenter, q.AllowStale = c.dc, stale
		entries, index, err = c.ask(c.api, name, q)
		return err
	})
	return entries, index, err
}

// ask queries the services of a name with the client by. If the list is empty and services may be
// hidden, it returns an error.
func (c *client) ask(by *api.Client, name string, q *api.QueryOptions) ([]*api.ServiceEntry, uint64, error) {
	entries, meta, err := by.Health().Service(name, "", false, q)
	switch {
	case err != nil:
		return nil, 0, err
	case entries == nil:
		return nil, 0, errNull
	case len(entries) == 0 && mayHide(meta):
		if err := c.mustSee(q.Context(), name, meta); err != nil {
			return nil, 0, err
		}
	}
	return entries, meta.LastIndex, nil
}

// maxWait is how long Consul delays the answer to a query if nothing changes. Consul adds up to a
// sixteenth.
const maxWait = 5 * time.Minute

// changed is services, but if index is not 0 it waits until the list has another index.
func (c *client) changed(ctx context.Context, name string, index uint64) (entries []*api.ServiceEntry, next uint64, err error) {
	err = c.wait(ctx, "watching service "+name, index, func(q *api.QueryOptions) (err error) { //nolint:contextcheck // It is in q.
		entries, next, err = c.ask(c.waiting, name, q)
		return err
	})
	if err == nil && len(entries) == 0 && index != 0 {
		// Answers to waiting queries may come from copies, which do not say whether services are
		// hidden.
		return c.services(ctx, name, true)
	}
	return entries, next, err
}

// moved waits until a list has another index than the given one, and returns the new index. It
// discards the list itself.
func (c *client) moved(ctx context.Context, list string, index uint64) (next uint64, err error) {
	err = c.wait(ctx, "watching "+list, index, func(q *api.QueryOptions) error {
		var content any = new(struct{})
		if list == criticalList {
			content = new([]struct{})
		}
		meta, err := c.waiting.Raw().Query(list, content, q)
		if err == nil {
			next = meta.LastIndex
		}
		return err
	})
	return next, err
}

// wait makes a query that Consul answers when the index differs from the given one. The query fails
// when the agent hangs.
func (c *client) wait(ctx context.Context, doing string, index uint64, query func(*api.QueryOptions) error) error {
	within := answerWithin
	if index != 0 {
		within += maxWait + maxWait/16
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, errNoAnswer)
	defer cancel()
	ctx, stop := c.agents.whileHere(ctx)
	defer stop()
	if err := query(c.watching(index).WithContext(ctx)); err != nil {
		return c.failure(ctx, doing, err)
	}
	return nil
}

// watching returns the options for a waiting query. Any server may answer it. Options that would
// keep the agent from using its streaming backend, such as near, must not be set.
func (c *client) watching(index uint64) *api.QueryOptions {
	return &api.QueryOptions{Datacenter: c.dc, AllowStale: true, WaitIndex: index, WaitTime: maxWait}
}
