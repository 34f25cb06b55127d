package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// glanceTime bounds how long a message that fails fast waits for the registry's first answer.
const glanceTime = 3 * time.Second

// Topic is what is known about the servers on a topic. It is safe for concurrent use.
type Topic struct {
	Name registry.Topic

	fleet *Fleet
	used  atomic.Bool
	view  atomic.Pointer[route.View] // nil until the registry was read once, and once closed

	// mu must not be held during calls of the registry, or of a link if they might call back. Lock
	// it after the lock of the fleet, and before the locks of the carrier.
	mu      sync.Mutex
	members members
	seen    map[string]time.Time // server names -> when they were last listed
	known   time.Time            // when the registry was first read; zero until then
	// ceilings are the ceilings that are followed.
	ceilings map[route.Interface]ceilingAge
	err      error         // why the registry cannot be read
	changed  chan struct{} // closed at the next change of view or err
	expiry   *time.Timer   // rebuilds the view when lingering members expire
	stop     func()        // ends the watch
	closed   bool
	// life ends when the topic is closed. It is the context of the pings to instances, whose
	// goroutines asking counts.
	life   context.Context //nolint:containedctx // It is the topic's own.
	end    context.CancelFunc
	asking sync.WaitGroup
}

func newTopic(f *Fleet, name registry.Topic) *Topic {
	t := &Topic{Name: name, fleet: f, members: members{}, seen: map[string]time.Time{}, ceilings: map[route.Interface]ceilingAge{}, changed: make(chan struct{})}
	t.used.Store(true)
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// Registry returns a description of the registry for error texts, such as "Consul at
// 127.0.0.1:8500".
func (t *Topic) Registry() string { return discovery.Name(t.fleet.registry) }

func (t *Topic) start() { t.stop = t.fleet.registry.Watch(t.Name, t.update) }

// Closed reports whether the topic is no longer watched. Ask the fleet for the topic again then.
func (t *Topic) Closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// View returns the topic's view, and a channel that is closed when the view changes. It waits for
// the first view. If ctx ends before, the error is of kind rpc.Unreachable and says why the
// registry could not be read, or of kind rpc.Timeout if the registry did not answer. View watches a
// topic again if its watch ended because it was idle. If the fleet is closed, the error is of kind
// rpc.Invalid.
func (t *Topic) View(ctx context.Context) (*route.View, <-chan struct{}, error) {
	return t.await(ctx, true)
}

// Glance is View for callers that cannot wait long: it ends at the first error of the registry, or
// after three seconds without an answer.
func (t *Topic) Glance(ctx context.Context) (*route.View, <-chan struct{}, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, glanceTime, errSilent)
	defer cancel()
	return t.await(ctx, false)
}

// await waits for the first view until ctx ends. Unless patient is true, it also stops at the first
// error of the registry.
func (t *Topic) await(ctx context.Context, patient bool) (*route.View, <-chan struct{}, error) {
	if !t.used.Load() {
		t.used.Store(true)
	}
	for {
		t.mu.Lock()
		changed, err, closed := t.changed, t.err, t.closed
		t.mu.Unlock()
		if closed {
			return t.reopen(ctx, patient)
		}
		if v := t.view.Load(); v != nil {
			return v, changed, nil
		}
		if err != nil && !patient {
			return nil, nil, unreadable(err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, t.unread(ctx, err)
		}
	}
}

// reopen is await after the topic was closed: it waits for the view of the topic that replaces it.
func (t *Topic) reopen(ctx context.Context, patient bool) (*route.View, <-chan struct{}, error) {
	next := t.fleet.Topic(t.Name)
	if next.Closed() {
		return nil, nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the transport is closed"}
	}
	return next.await(ctx, patient)
}

// BecameReady returns a channel that is closed when a server, perhaps of another topic, becomes
// ready for messages after this call.
func (t *Topic) BecameReady() <-chan struct{} { return t.fleet.carrier.BecameReady() }

// Missed returns the record of servers that missed messages.
func (t *Topic) Missed() *Missed { return &t.fleet.missed }

// Now returns the topic's view, or nil if there is none. It takes no lock, for the fast path.
func (t *Topic) Now() *route.View {
	if !t.used.Load() {
		t.used.Store(true)
	}
	return t.view.Load()
}

// errSilent is the cause if Glance ends because the registry does not answer.
var errSilent = errors.New("the registry is silent")

// unread returns the error for a ctx that ended before the registry was read. Why is the last error
// of the registry; nil if it has not answered at all.
func (t *Topic) unread(ctx context.Context, why error) error {
	switch {
	case why != nil:
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: ctx.Err(), Message: "not sent: " + failure.Text(why)}
	case errors.Is(context.Cause(ctx), errSilent):
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: errSilent, Message: fmt.Sprintf(
			"not sent: %s did not answer within %v", t.Registry(), glanceTime)}
	default:
		return &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Cause: ctx.Err(), Message: fmt.Sprintf(
			"not sent: %s did not answer", t.Registry())}
	}
}

// unreadable returns the error for a message that does not wait until the registry can be read.
func unreadable(why error) error {
	return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: why, Message: "not sent: " + failure.Text(why)}
}

// Recent reports whether a server of this name was listed within recentTime, so that it is likely
// to come back.
func (t *Topic) Recent(server string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.seen[server]
	return ok && time.Since(last) < recentTime
}

// Gone marks an instance as left: according to itself or to the process at its address, it no
// longer accepts messages. It is used again only if the registry removes it and then lists it anew.
// Gone ignores static addresses, because another process may serve there later.
func (t *Topic) Gone(e *route.Entry) {
	if e.ID == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.member(e); m != nil {
		m.left = true
		t.rebuild()
	}
}

// Astray marks an instance to be avoided for avoidTime, because its address led to another process,
// and replaces its connection. After that, the instance is tried again: the registry still lists
// it, and the address may have led to the other process only once. Said is the error of that
// process.
func (t *Topic) Astray(e *route.Entry, said error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.member(e); m != nil {
		renewed := *e
		renewed.Link = t.fleet.carrier.Renew(e.Link)
		if m.unlisted {
			e.Link.Unlist(false)
			renewed.Link.Unlist(true)
		}
		m.entry, m.astray, m.stranger = &renewed, time.Now().Add(avoidTime), said
		t.rebuild()
	}
}

// Unproven excludes an instance from ceilings, because its certificate is for another name. It is
// pinged every doubtTime, and counts again once it proves its name.
func (t *Topic) Unproven(e *route.Entry) {
	if e.Unproven {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.member(e); m != nil && m.doubted.IsZero() {
		m.doubted = time.Now().Add(doubtTime)
		t.rebuild()
	}
}

// Proved undoes Unproven.
func (t *Topic) Proved(e *route.Entry) {
	if !e.Unproven {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.members[idOf(e.Instance)]; m != nil {
		m.doubted = time.Time{}
		t.rebuild()
	}
}

// member returns the member of an entry, or nil if the entry is from an old view. If the instance
// is still listed, member also updates the time for Recent, because the last update of the registry
// may have been long ago. The lock is held.
func (t *Topic) member(e *route.Entry) *member {
	m, ok := t.members[idOf(e.Instance)]
	if !ok || m.entry != e {
		return nil
	}
	if !m.missing() {
		t.seen[e.Server] = time.Now()
	}
	return m
}

// Uncertain returns why the registry cannot be read, so that the view may be out of date. It
// returns nil if the registry can be read.
func (t *Topic) Uncertain() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return nil
	}
	return fmt.Errorf("discovery cannot be read, so servers may be missing or gone: %w", t.err)
}

// Watched returns the time since the registry was first read for this topic. It is 0 until then.
func (t *Topic) Watched() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known.IsZero() {
		return 0
	}
	return time.Since(t.known)
}

// readable reports whether the registry can be read: its last update was not an error.
func (t *Topic) readable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err == nil
}

// update applies an update of the registry. The registry calls it.
func (t *Topic) update(u registry.Update) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	failing := t.err != nil
	t.err = u.Err
	if u.Err != nil {
		known := t.view.Load() != nil
		if !failing {
			t.fleet.outages.fail(t.Name, outage{u.Err, known})
		}
		if !known {
			t.signal()
		}
		return
	}
	if failing {
		t.fleet.outages.recover(t.Name)
	}
	now := time.Now()
	if t.known.IsZero() {
		t.known = now
	}
	for _, m := range t.members {
		if !m.missing() {
			t.seen[m.entry.Server] = now
		}
	}
	for _, i := range u.Instances {
		t.seen[i.Server] = now
	}
	t.members.merge(u, now, t.fleet.carrier)
	if failing { // after an outage, servers need a moment to register again
		t.members.linger(now)
	}
	t.rebuild()
	t.verify(t.members.vanished(now))
}

// rebuild drops expired members, makes a new view, and schedules its next run for the next time at
// which a member must be examined. The lock is held.
func (t *Topic) rebuild() {
	now, keep := time.Now(), t.err != nil
	renewed := t.members.expire(now, keep, t.fleet.carrier)
	doubtful := t.members.doubtful(now)
	next := t.members.show(now, keep)
	t.verify(renewed)
	t.prove(doubtful)
	for server, last := range t.seen {
		if now.Sub(last) > recentTime {
			delete(t.seen, server)
		}
	}
	view := route.NewViewIn(t.fleet.zone, t.members.entries(), t.fleet.seed)
	t.follow(view, now)
	t.view.Store(view)
	t.signal()
	if t.expiry != nil {
		t.expiry.Stop()
		t.expiry = nil
	}
	if !next.IsZero() && !t.closed {
		t.expiry = time.AfterFunc(next.Sub(now), func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if !t.closed {
				t.rebuild()
			}
		})
	}
}

func (t *Topic) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *Topic) close() {
	if t.stop != nil {
		t.stop() // waits until a running update has ended, so the lock must not be held
	}
	t.mu.Lock()
	t.end() // from here on, no instance is pinged
	t.mu.Unlock()
	t.asking.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.view.Store(nil) // clear releases the links of its entries
	if t.expiry != nil {
		t.expiry.Stop()
	}
	t.members.clear(t.fleet.carrier)
	t.signal()
}
