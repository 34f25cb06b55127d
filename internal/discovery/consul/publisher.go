package consul

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/discovery"
)

const (
	// withdrawWithin is how long Close takes at most, and undoWithin how long the clean-up after a Publish that failed.
	withdrawWithin = 5 * time.Second
	undoWithin     = time.Second
	// lookEvery is how often to see whether everything is still registered as it should be.
	lookEvery = time.Minute
)

// handles numbers the handles of this program, since two of them may have the same boot id.
var handles atomic.Uint64

// publisher keeps in Consul what was published.
type publisher struct {
	client    *client
	ttl       time.Duration
	lookEvery time.Duration
	log       *slog.Logger
	handle    uint64
	// life ends with Close, and with it whatever is being done.
	life context.Context //nolint:containedctx // It is the publisher's own; those of its callers end sooner.
	end  context.CancelFunc

	// turn holds one token: who takes it may change registrations, and use what follows. It is a channel so that waiting for
	// it ends with a context.
	turn chan struct{}
	// wanted is what was published last: the service of the process, then those of the instances.
	wanted []*api.AgentServiceRegistration
	// placed are the ids of the services that may be in Consul because of us, in the order of registering.
	placed []string
	heart  *heart
	// lost is true if Consul had forgotten something of what is wanted, until that is back.
	lost bool
	// lapsed is told when that is so.
	lapsed func(reason string)
}

func newPublisher(c *client, ttl time.Duration, log *slog.Logger) *publisher {
	p := &publisher{client: c, ttl: ttl, lookEvery: lookEvery, log: log, handle: handles.Add(1), turn: make(chan struct{}, 1), lapsed: func(string) {}}
	p.life, p.end = context.WithCancel(context.Background())
	p.turn <- struct{}{}
	return p
}

// publish makes Consul hold these instances only. If it fails, those before remain wanted.
func (p *publisher) publish(ctx context.Context, instances []discovery.Instance) error {
	if p.life.Err() != nil {
		return invalid("Publish on a registry that is closed")
	}
	services, err := p.services(instances)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)() //nolint:contextcheck // It adds to the caller's.
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	if len(p.placed) == 0 {
		p.client.holder.unpin()
	}
	if err := p.place(ctx, services); err != nil {
		p.undo(ctx)
		return err
	}
	p.tellLost()
	p.wanted = services
	p.setHeart() //nolint:contextcheck // The heart outlives the call.
	return nil
}

// services returns what is to be registered for the instances: first the service of the process.
func (p *publisher) services(list []discovery.Instance) ([]*api.AgentServiceRegistration, error) {
	if len(list) == 0 {
		return nil, nil
	}
	first := list[0]
	process, err := processService(first, fmt.Sprintf("%s%s-%d", prefix, first.BootID, p.handle), p.ttl)
	if err != nil {
		return nil, err
	}
	services := []*api.AgentServiceRegistration{process}
	for _, i := range list {
		if i.BootID != first.BootID || i.Addr != first.Addr {
			return nil, invalid("publish %s of %s: the instances of a process must have one boot id and one address", i.Server, i.Topic)
		}
		s, err := instanceService(i, process.ID)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(services, func(t *api.AgentServiceRegistration) bool { return t.ID == s.ID }) {
			return nil, invalid("publish %s of %s: another instance has the id %q too", i.Server, i.Topic, i.ID)
		}
		services = append(services, s)
	}
	return services, nil
}

// place registers the services where they are missing or differ, then deregisters all others that we placed. It looks first,
// so as to change nothing that is right: Consul would tell all watchers.
func (p *publisher) place(ctx context.Context, services []*api.AgentServiceRegistration) error {
	for _, s := range services {
		is, err := p.client.look(ctx, s.ID)
		if err != nil {
			return err
		}
		if is != nil && same(is, s) {
			continue
		}
		p.lost = p.lost || is == nil && p.wants(s.ID)
		if err := p.register(ctx, s); err != nil {
			return err
		}
	}
	return p.remove(ctx, services)
}

func (p *publisher) register(ctx context.Context, s *api.AgentServiceRegistration) error {
	// Even if the request fails the service may be there.
	if !slices.Contains(p.placed, s.ID) {
		p.placed = append(p.placed, s.ID)
	}
	return p.client.register(ctx, s)
}

// remove deregisters what we placed, but for these services; last of all the process, so that if it fails half way the checks
// that follow the process let the rest expire.
func (p *publisher) remove(ctx context.Context, but []*api.AgentServiceRegistration) error {
	for n, id := range slices.Backward(p.placed) {
		if slices.ContainsFunc(but, func(s *api.AgentServiceRegistration) bool { return s.ID == id }) {
			continue
		}
		if err := p.client.deregister(ctx, id); err != nil {
			return err
		}
		p.placed = slices.Delete(p.placed, n, n+1)
	}
	return nil
}

// undo returns to what is wanted after a publish failed. What is wanted is put back by the heart, as after any loss. Without one,
// what was placed is removed, if that goes fast; nothing keeps it alive.
func (p *publisher) undo(ctx context.Context) {
	if p.heart != nil {
		p.heart.look()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	if err := p.remove(ctx, nil); err != nil {
		p.log.Warn("cannot remove from Consul what was published in part; it expires", "after", p.ttl, "error", err)
	}
}

// setHeart has the process beat that is wanted now.
func (p *publisher) setHeart() {
	var process string
	if len(p.wanted) > 0 {
		process = p.wanted[0].ID
	}
	if p.heart != nil && p.heart.process == process {
		return
	}
	if p.heart != nil {
		p.heart.stop()
		p.heart = nil
	}
	if process != "" {
		p.heart = startHeart(p, process)
	}
}

// repair puts back what is missing. If the check of the process is gone, so the process has to be registered whatever its service
// looks like.
func (p *publisher) repair(ctx context.Context, checkLost bool) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	if checkLost {
		p.lost = true
		if err := p.register(ctx, p.wanted[0]); err != nil {
			return err
		}
	}
	if err := p.place(ctx, p.wanted); err != nil {
		return err
	}
	p.tellLost()
	return nil
}

func (p *publisher) wants(id string) bool {
	return slices.ContainsFunc(p.wanted, func(s *api.AgentServiceRegistration) bool { return s.ID == id })
}

// tellLost says that what was lost is back.
func (p *publisher) tellLost() {
	if p.lost {
		p.lost = false
		p.lapsed("Consul had lost the registration")
	}
}

// close stops keeping anything alive and removes what was published.
func (p *publisher) close() error {
	p.end()
	ctx, cancel := context.WithTimeout(context.Background(), withdrawWithin)
	defer cancel()
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	p.wanted = nil
	p.setHeart()
	return p.remove(ctx, nil)
}

func (p *publisher) take(ctx context.Context) error {
	select {
	case <-p.turn:
		if ctx.Err() == nil {
			return nil
		}
		p.give()
	case <-ctx.Done():
	}
	return p.client.failure(ctx, "waiting for another change of what is published", ctx.Err())
}

func (p *publisher) give() { p.turn <- struct{}{} }
