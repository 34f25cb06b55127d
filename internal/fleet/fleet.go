// Package fleet keeps what a client knows about the servers on each topic in use. It watches the
// registry, asks instances that vanish from it whether they still run, and makes views, by which
// messages are routed.
package fleet

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// idleTime is the minimum time that a topic is watched after its last use. The maximum is twice
// that.
const idleTime = 5 * time.Minute

// Fleet has the topics that a process uses. It is safe for concurrent use.
type Fleet struct {
	registry registry.Registry
	carrier  carrier.Carrier
	outages  *outages
	zone     string
	seed     uint64
	missed   Missed

	mu     sync.Mutex
	topics map[registry.Topic]*Topic
	sweep  *time.Timer // ends idle watches; nil while there is no topic
	closed bool
}

// New returns a fleet that watches the registry known and gets links to instances from c. Zone is
// the zone of the client, and may be empty.
func New(known registry.Registry, c carrier.Carrier, zone string, log *slog.Logger) *Fleet {
	return &Fleet{
		registry: known, carrier: c, zone: zone, outages: newOutages(log), seed: rand.Uint64(), topics: map[registry.Topic]*Topic{},
	}
}

// Missed returns the record of servers that missed messages. It is kept when a topic is no longer
// watched.
func (f *Fleet) Missed() *Missed { return &f.missed }

// Topic returns a topic, and watches it until it has not been used for idleTime. Callers may keep
// it. Once its method Closed returns true, they should call Topic again.
func (f *Fleet) Topic(name registry.Topic) *Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t, ok := f.topics[name]; ok {
		return t
	}
	t := newTopic(f, name)
	if f.closed {
		t.close()
		return t
	}
	f.topics[name] = t
	t.start()
	if f.sweep == nil {
		f.sweep = time.AfterFunc(idleTime, f.endIdle)
	}
	return t
}

// Known returns the topic if it is watched, or nil, and how many topics are watched.
func (f *Fleet) Known(name registry.Topic) (t *Topic, watched int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[name], len(f.topics)
}

// Find returns an instance of a watched topic, or nil if no topic has it.
func (f *Fleet) Find(id string) *route.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		if view := t.view.Load(); view != nil {
			if e := view.Instance(id); e != nil {
				return e
			}
		}
	}
	return nil
}

// endIdle ends the watches of topics that were not used since its last run. It keeps topics that
// the registry cannot read at present, because what is known about them could not be read again.
func (f *Fleet) endIdle() {
	var idle []*Topic
	f.mu.Lock()
	for name, t := range f.topics {
		if !t.used.Swap(false) && t.readable() {
			idle = append(idle, t)
			delete(f.topics, name)
		}
	}
	f.sweep = nil
	if len(f.topics) > 0 && !f.closed {
		f.sweep = time.AfterFunc(idleTime, f.endIdle)
	}
	f.mu.Unlock()
	for _, t := range idle {
		t.close()
	}
}

// Close ends all watches and releases all links.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	f.outages.close()
	topics := f.topics
	f.topics = map[registry.Topic]*Topic{}
	if f.sweep != nil {
		f.sweep.Stop()
	}
	f.mu.Unlock()
	for _, t := range topics {
		t.close()
	}
}
