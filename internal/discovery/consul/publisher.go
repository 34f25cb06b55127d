package consul

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// withdrawWithin bounds Close, and undoWithin bounds the clean-up after a failed Publish.
	withdrawWithin = 3 * time.Second
	undoWithin     = time.Second
	// lookEvery is the interval at which the heart compares all registrations.
	lookEvery = time.Minute
	// unseenFor is how long the catalog may lack a new registration before it counts as lost. The
	// agent normally sends it to the catalog at once.
	unseenFor = 15 * time.Second
)

// publisher keeps the published instances registered in Consul.
type publisher struct {
	client    *client
	ttl       time.Duration
	lookEvery time.Duration
	unseenFor time.Duration
	log       *slog.Logger
	// life ends with close. Everything in progress is then canceled.
	life context.Context //nolint:containedctx // It is the publisher's own; its callers' end sooner.
	end  context.CancelFunc

	// turn is a lock for the registrations and the following fields: the goroutine that has the
	// token may use them. It is a channel so that a wait for it can end with a context.
	turn chan struct{}
	// wanted are the registrations of the last successful publish: the service of the process, then
	// the services of the instances.
	wanted []*registration
	// placed is everything that this process may have registered in Consul, by the ids of the
	// services.
	placed map[string]placement
	heart  *heart
	// lost is true if Consul lost a wanted service that is not registered again yet.
	lost bool
	// lapsed is called after the registration has lapsed; see [Registry.Lapses]. Told counts the
	// calls.
	lapsed func(reason string)
	told   atomic.Int64
}

// registration is the service of an instance, or of the process. Publish reuses the registrations
// of instances that have not changed.
type registration struct {
	*api.AgentServiceRegistration

	instance rpc.Instance
}

func (r *registration) ids() ids { return ids{r.ID, r.Check.CheckID} }

// placement is a registration that was sent to Consul.
type placement struct {
	*registration

	// sure is true if Consul has accepted the registration and, as far as is known, still has it.
	sure bool
}

func newPublisher(c *client, ttl time.Duration, log *slog.Logger) *publisher {
	p := &publisher{
		client: c, ttl: ttl, lookEvery: lookEvery, unseenFor: unseenFor, log: log,
		turn: make(chan struct{}, 1), placed: map[string]placement{}, lapsed: func(string) {},
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.turn <- struct{}{}
	return p
}

// publish registers these instances, and deregisters all others of this process. If it fails, the
// previous instances remain wanted.
func (p *publisher) publish(ctx context.Context, instances []rpc.Instance) error {
	if p.life.Err() != nil {
		return invalid("Publish on a registry that is closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)() //nolint:contextcheck // It adds to the caller's.
	if err := p.take(ctx); err != nil {
		return err
	}
	services, err := p.services(instances)
	if err != nil {
		p.give()
		return err
	}
	err = p.choose(ctx, services)
	if err == nil {
		err = p.place(ctx, services)
	}
	if err != nil {
		p.undo(ctx)
		return err
	}
	defer p.give()
	p.tellLost()
	p.wanted = services
	p.setHeart() //nolint:contextcheck // The heart outlives the call.
	return nil
}

// choose selects an agent that answers, if nothing is registered yet. All later registrations go to
// the same agent.
func (p *publisher) choose(ctx context.Context, services []*registration) error {
	if len(p.placed) > 0 || len(services) == 0 {
		return nil
	}
	p.client.holder.unpin()
	_, err := p.client.registered(ctx, services[0].Meta[metaBoot])
	return err
}

// services returns the registrations of the instances, after the registration of the process.
func (p *publisher) services(list []rpc.Instance) ([]*registration, error) {
	if len(list) == 0 {
		return nil, nil
	}
	process, err := p.process(list[0])
	if err != nil {
		return nil, err
	}
	known := make(map[string]*registration, len(p.wanted))
	for _, r := range p.wanted[min(1, len(p.wanted)):] {
		known[r.instance.ID] = r
	}
	services, seen := []*registration{process}, make(map[string]bool, len(list))
	for _, i := range list {
		if i.BootID != list[0].BootID || i.Addr != list[0].Addr {
			return nil, invalid("publish %s of %s: the instances of a process must have one boot id and one address", i.Server, i.Topic)
		}
		if seen[i.ID] {
			return nil, invalid("publish %s of %s: another instance has the id %q too", i.Server, i.Topic, i.ID)
		}
		seen[i.ID] = true
		r, err := instanceRegistration(i, known[i.ID], process.ID)
		if err != nil {
			return nil, err
		}
		services = append(services, r)
	}
	return services, nil
}

// instanceRegistration returns the registration of an instance. Known is its current registration,
// which may be nil.
func instanceRegistration(i rpc.Instance, known *registration, process string) (*registration, error) {
	names := newIDs(i.ID)
	if known != nil {
		if known.instance.Equal(i) && known.Check.AliasService == process {
			return known, nil
		}
		names = known.ids()
	}
	s, err := instanceService(i, names, process)
	return &registration{s, i}, err
}

// process returns the registration of the process of an instance.
func (p *publisher) process(i rpc.Instance) (*registration, error) {
	names := newIDs(i.BootID)
	if len(p.wanted) > 0 && p.wanted[0].instance.BootID == i.BootID {
		known := p.wanted[0]
		if known.instance.Addr == i.Addr {
			return known, nil
		}
		names = known.ids()
	}
	s, err := processService(i, names, p.ttl)
	return &registration{s, i}, err
}

// place registers the services that Consul has not accepted yet, and then deregisters all other
// services in placed. It does not register unchanged services again: Consul would notify all
// watchers, and a process with many servers would send all of them for each server that starts. The
// heart finds services that Consul lost.
func (p *publisher) place(ctx context.Context, services []*registration) error {
	var missing []*registration
	for _, s := range services {
		if at := p.placed[s.ID]; !at.sure || at.registration != s {
			missing = append(missing, s)
		}
	}
	if err := p.register(ctx, missing); err != nil {
		return err
	}
	return p.remove(ctx, services)
}

// register registers services. It registers the service of the process first, since the checks of
// the others are aliases of its check.
func (p *publisher) register(ctx context.Context, services []*registration) error {
	if len(services) > 0 && isProcess(services[0].Name) {
		if err := p.registerAll(ctx, services[:1]); err != nil {
			return err
		}
		services = services[1:]
	}
	return p.registerAll(ctx, services)
}

func (p *publisher) registerAll(ctx context.Context, services []*registration) error {
	results, err := spread(services, func(s *registration) error { return p.client.register(ctx, s.AgentServiceRegistration) })
	for n, s := range services {
		if failure := results[n]; !errors.Is(failure, errNotBegun) && !notConnected(failure) {
			p.placed[s.ID] = placement{s, failure == nil} // even if the request failed, the service may be registered
		}
	}
	return err
}

// remove deregisters all services in placed that are not in but. It deregisters the service of the
// process last. If remove fails before that, nothing else keeps the rest alive: their checks are
// aliases of the process's check, which expires without beats.
func (p *publisher) remove(ctx context.Context, but []*registration) error {
	stays := make(map[string]bool, len(but))
	for _, s := range but {
		stays[s.ID] = true
	}
	var instances, processes []string
	for id, at := range p.placed {
		switch {
		case stays[id]:
		case isProcess(at.Name):
			processes = append(processes, id)
		default:
			instances = append(instances, id)
		}
	}
	if err := p.removeAll(ctx, instances); err != nil {
		return err
	}
	return p.removeAll(ctx, processes)
}

func (p *publisher) removeAll(ctx context.Context, ids []string) error {
	results, err := spread(ids, func(id string) error { return p.client.deregister(ctx, id) })
	for n, id := range ids {
		if results[n] == nil {
			delete(p.placed, id)
		}
	}
	return err
}

// undo restores the wanted registrations after publish failed, and gives the turn back. If there is
// a heart, undo leaves that to the heart, as after any loss. Without a heart, it removes the new
// services, for up to undoWithin; any that remain expire, because nothing keeps them alive. It
// waits for the removal until ctx ends.
func (p *publisher) undo(ctx context.Context) {
	if p.heart != nil {
		p.heart.look()
		p.give()
		return
	}
	undone := make(chan struct{})
	go func() { //nolint:contextcheck // It goes on when the caller's has ended.
		defer close(undone)
		defer p.give()
		within, cancel := context.WithTimeout(p.life, undoWithin)
		defer cancel()
		if err := p.remove(within, nil); err != nil && p.life.Err() == nil {
			p.log.Warn("cannot remove an incomplete registration from Consul; it expires", "after", p.ttl, "error", err)
		}
	}()
	select {
	case <-undone:
	case <-ctx.Done():
	}
}

// setHeart starts a heart for the wanted registration of the process, and stops the heart of a
// previous one.
func (p *publisher) setHeart() {
	var process *registration
	if len(p.wanted) > 0 {
		process = p.wanted[0]
	}
	if p.heart != nil && p.heart.process == process {
		return
	}
	if p.heart != nil {
		p.heart.stop()
		p.heart = nil
	}
	if process != nil {
		p.heart = startHeart(p, process)
	}
}

// close stops the heart and removes all services. If ctx ends first, they expire.
func (p *publisher) close(ctx context.Context) error {
	p.end()
	ctx, cancel := context.WithTimeout(ctx, withdrawWithin)
	defer cancel()
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	p.wanted = nil
	p.setHeart() //nolint:contextcheck // There is no heart afterwards.
	return p.remove(ctx, nil)
}

// take waits for the turn. If the turn is free, take succeeds even if ctx has ended, so that
// changes that need no request succeed.
func (p *publisher) take(ctx context.Context) error {
	select {
	case <-p.turn:
		return nil
	default:
	}
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return p.client.failure(ctx, "waiting for another change of what is published", ctx.Err())
	}
}

func (p *publisher) give() { p.turn <- struct{}{} }
