package oslorpctest

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/inprocess"
	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// process is a transport and its simulated environment.
type process struct {
	fleet     *Fleet
	transport *oslorpc.Transport
	registry  *handle
	dead      chan struct{} // closed when it is killed: no method begins any more
	cut       chan struct{} // closed when its connections have ended after that
	once      sync.Once

	mu    sync.Mutex
	host  *memnet.Host   // nil before it listens
	phase *phase.Machine // of its server
	pause time.Duration  // before each method
}

// option is the transport option that replaces the network of a transport by the simulated one; see
// [inprocess.Option].
type option struct {
	oslorpc.TransportOption // changes nothing

	process *process
}

func within(p *process) option { return option{oslorpc.WithInterceptors(), p} }

// InProcess implements [inprocess.Option].
func (o option) InProcess() *inprocess.Process { return o.process.surroundings() }

func (p *process) surroundings() *inprocess.Process {
	return &inprocess.Process{
		Registry: p.register, Listen: p.listen, Dial: p.fleet.network.Dial, Starts: p.starts, Accepted: p.accepted, Before: p.before,
	}
}

func (p *process) register(r registry.Registry) registry.Registry {
	p.registry = &handle{Registry: r, fleet: p.fleet}
	return p.registry
}

func (p *process) listen() (net.Listener, string) {
	h, addr := p.fleet.network.Listen()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host = h
	return h, addr
}

func (p *process) starts(m *phase.Machine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = m
}

// now returns the current host, state and delay of the process.
func (p *process) now() (*memnet.Host, *phase.Machine, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host, p.phase, p.pause
}

func (p *process) accepted(at oslorpc.Target, r *dispatch.Request) {
	p.fleet.record(at, r)
}

// before runs before each method. It waits for the delay of [Server.SlowDown], and returns an error
// if the process was killed.
func (p *process) before(ctx context.Context) error {
	_, _, pause := p.now()
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.dead:
		case <-ctx.Done():
			return &dispatch.MethodError{Err: ctx.Err()}
		}
	}
	select {
	case <-p.dead:
		<-p.cut // so that no caller learns of the error
		return &dispatch.MethodError{Err: net.ErrClosed}
	default:
		return nil
	}
}

// kill ends the process as if it were killed. Methods cannot be killed, so their contexts are ended
// instead.
func (p *process) kill() {
	p.once.Do(func() {
		close(p.dead)
		if h, _, _ := p.now(); h != nil {
			h.Kill()
		}
		close(p.cut)
		p.registry.kill()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.transport.Shutdown(over) // its error is what it was killed in
	})
}

// handle is the registry as one process sees it. It records the updates that the process received.
// After the process was killed, it publishes nothing.
type handle struct {
	registry.Registry

	fleet *Fleet
	mu    sync.Mutex
	dead  bool
}

// view is the last update of one watch.
type view struct {
	topic registry.Topic
	ids   map[string]bool
}

// Publish does nothing for a killed process.
func (r *handle) Publish(ctx context.Context, instances []rpc.Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return nil
	}
	return r.Registry.Publish(ctx, instances)
}

func (r *handle) kill() {
	_ = r.Publish(context.Background(), nil) // it fails if the transport was closed, and then there is nothing to withdraw
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

// Watch records each update before it passes the update on.
func (r *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	f := r.fleet
	v := &view{topic: topic}
	f.mu.Lock()
	f.views[v] = true
	f.mu.Unlock()
	end := r.Registry.Watch(topic, func(u registry.Update) {
		notify(u)
		ids := map[string]bool{}
		for _, i := range u.Instances {
			ids[i.ID] = true
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		v.ids = ids
		f.tell()
	})
	return func() {
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.views, v)
		f.tell()
	}
}
