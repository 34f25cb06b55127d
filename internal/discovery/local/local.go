//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"context"
	"maps"
	"net/url"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// interval is the time between two scans of the directory.
const interval = 250 * time.Millisecond

// handle is one process's access to the registry. It is safe for concurrent use.
type handle struct {
	own publication

	// kick makes the poller scan the directory at once.
	kick    chan struct{}
	pollers sync.WaitGroup

	// scanMu is held while the directory is read and until the result is sent, so that no watch
	// gets an older list after a newer one. It is taken before mu.
	scanMu  sync.Mutex
	scanner scanner

	// mu is taken before the mutex of own.
	mu      sync.Mutex
	watches map[*registry.Watch]*watched
	// stopPoller ends the poller when it is closed. It is nil while there is no poller.
	stopPoller chan struct{}
	closed     bool
}

// watched is the topic of a watch, and the generation of the list that the watch was sent last.
// Generation is 0 if the next list must be sent in any case. It is guarded by scanMu.
type watched struct {
	topic      registry.Topic
	generation uint64
}

// Open opens local://, which is the directory /tmp/oslorpc-UID, or local:///absolute/directory. It
// creates the directory if it does not exist. It refuses a directory that other users could read or
// write.
func Open(u *url.URL) (registry.Registry, error) {
	dir, err := directory(u)
	if err != nil {
		return nil, err
	}
	if err := ensure(dir); err != nil {
		return nil, err
	}
	sweepSockets(dir)
	return &handle{
		own:     newPublication(dir),
		kick:    make(chan struct{}, 1),
		scanner: newScanner(dir),
		watches: map[*registry.Watch]*watched{},
	}, nil
}

// String returns the name of the registry in errors.
func (r *handle) String() string { return "the directory " + r.own.dir }

// Publish implements [registry.Registry]. Other processes see the instances in their next scan of
// the directory.
func (r *handle) Publish(_ context.Context, instances []rpc.Instance) error {
	err := r.own.set(instances)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startOrStopPoller()
	return err
}

// Lapses implements [registry.Lapser]. The registration lapses when a program removes or replaces
// the file.
func (r *handle) Lapses(notify func(reason string)) {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	r.own.lapsed = notify
}

// Lag implements [registry.Polled]. Each process scans within the interval, and needs a moment to
// read the files.
func (r *handle) Lag(int) time.Duration { return interval + interval/5 }

// Watch implements [registry.Registry].
func (r *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		w.Stop()
	} else {
		r.watches[w] = &watched{topic: topic}
	}
	r.startOrStopPoller()
	return func() { r.stop(w) }
}

func (r *handle) stop(w *registry.Watch) {
	r.mu.Lock()
	delete(r.watches, w)
	r.startOrStopPoller()
	r.mu.Unlock()
	w.Stop()
}

// List implements [registry.Registry].
func (r *handle) List(context.Context) ([]rpc.Instance, error) {
	r.scanMu.Lock()
	defer r.scanMu.Unlock()
	if err := r.scanner.scan(); err != nil {
		return nil, err
	}
	return r.scanner.instances(nil), nil
}

// Close implements [registry.Registry].
func (r *handle) Close(context.Context) error {
	r.mu.Lock()
	r.closed = true
	watches := r.watches
	r.watches = nil
	r.startOrStopPoller()
	r.mu.Unlock()
	r.pollers.Wait()
	for w := range watches {
		w.Stop()
	}
	return r.own.close()
}

// startOrStopPoller makes sure that one poller runs while there are watches or published instances,
// and makes it scan at once. The caller must hold mu.
func (r *handle) startOrStopPoller() {
	needed := !r.closed && (len(r.watches) > 0 || r.own.published())
	switch {
	case needed && r.stopPoller == nil:
		stop := make(chan struct{})
		r.stopPoller = stop
		r.pollers.Go(func() { r.poll(stop) })
	case needed:
		select {
		case r.kick <- struct{}{}:
		default:
		}
	case r.stopPoller != nil:
		close(r.stopPoller)
		r.stopPoller = nil
	}
}

func (r *handle) poll(stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		r.own.check()
		r.tell()
		select {
		case <-stop:
			return
		case <-r.kick:
		case <-tick.C:
		}
	}
}

// tell scans the directory and sends each watch the list that it does not have yet.
func (r *handle) tell() {
	r.scanMu.Lock()
	defer r.scanMu.Unlock()
	// Update only watches that existed before the scan: its result may be too old for later
	// watches.
	watches := r.watchesNow()
	if len(watches) == 0 {
		return
	}
	err := r.scanner.scan()
	reset := err == nil && r.scanner.takeLost()
	for w, of := range watches {
		switch {
		case err != nil:
			of.generation = 0
			w.Send(registry.Update{Err: err})
		case of.generation != r.scanner.generation:
			of.generation = r.scanner.generation
			w.Send(registry.Update{Instances: r.scanner.instances(&of.topic), Reset: reset})
		}
	}
}

func (r *handle) watchesNow() map[*registry.Watch]*watched {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.watches)
}
