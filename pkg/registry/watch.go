package registry

import (
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Watch calls one notify function as [Registry.Watch] requires: only when something has changed,
// never concurrently, and not after Stop. It calls the function on its own goroutine, so that a
// registry never waits for its users. If several lists arrive while notify runs, only the last is
// delivered, because each list is complete. A list that an error follows is delivered before the
// error. After a long list it pauses, so that a large fleet that changes all the time does not keep
// a processor busy.
type Watch struct {
	notify func(Update)
	wake   chan struct{}
	ended  chan struct{}

	// The next updates to deliver: a list, then an error. Either may be nil.
	mu      sync.Mutex
	list    *Update
	changed func() []rpc.Instance // returns the list to deliver; nil if list has it
	failure *Update
	stopped bool
	stop    chan struct{} // closed when it is stopped
}

const (
	// longList is the number of instances from which on a list is long.
	longList = 1000
	// pauseEach is how long the watch pauses after a long list, for each instance in it. Processing
	// an instance takes about a tenth of that.
	pauseEach = 20 * time.Microsecond
)

// StartWatch returns a watch that delivers to notify.
func StartWatch(notify func(Update)) *Watch {
	w := &Watch{notify: notify, wake: make(chan struct{}, 1), ended: make(chan struct{}), stop: make(chan struct{})}
	go w.run()
	return w
}

// Send delivers the present state. It does not block. The update may repeat an earlier one, which
// is then not delivered. The watch keeps the slice, so it must not be changed. The same slice may
// be sent to several watches.
func (w *Watch) Send(u Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u.Err != nil {
		w.failure = &u
	} else {
		u.Reset = u.Reset || (w.list != nil && w.list.Reset)
		w.list, w.changed, w.failure = &u, nil, nil // a list is the end of any failure
	}
	w.signal()
}

// Changed is Send with a list that is computed only when it is delivered, because most of many fast
// changes are never delivered. The function is called on the goroutine of the watch.
func (w *Watch) Changed(list func() []rpc.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list, w.changed, w.failure = &Update{Reset: w.list != nil && w.list.Reset}, list, nil
	w.signal()
}

// Stop ends the watch. When it returns, notify is not running and is not called again. It may be
// called more than once.
func (w *Watch) Stop() {
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.stop)
	}
	w.signal()
	w.mu.Unlock()
	<-w.ended
}

func (w *Watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watch) run() {
	defer close(w.ended)
	var d delivered
	for range w.wake {
		list, failure, stopped := w.take()
		if stopped {
			return
		}
		for _, u := range []*Update{list, failure} {
			if u != nil && d.news(u) {
				w.notify(*u)
			}
		}
		if list != nil && len(d.instances) >= longList {
			w.pause(time.Duration(len(d.instances)) * pauseEach)
		}
	}
}

// pause waits for length. It ends early when the watch is stopped.
func (w *Watch) pause(length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.stop:
	}
}

func (w *Watch) take() (list, failure *Update, stopped bool) {
	w.mu.Lock()
	list, failure = w.list, w.failure
	changed := w.changed
	w.list, w.changed, w.failure = nil, nil, nil
	stopped = w.stopped
	w.mu.Unlock()
	if changed != nil && !stopped {
		list.Instances = changed()
	}
	return list, failure, stopped
}

// delivered is the state that notify has received so far.
type delivered struct {
	known, failing bool
	instances      []rpc.Instance
}

// news reports whether an update is new to the user, and records it as delivered. It gives the
// update a slice of its own.
func (d *delivered) news(u *Update) bool {
	if u.Err != nil {
		first := !d.failing
		d.failing = true
		return first
	}
	now := slices.Clone(u.Instances)
	Sort(now)
	same := d.known && !d.failing && Same(now, d.instances)
	// Nothing can be lost before the first list.
	u.Reset = u.Reset && d.known
	d.known, d.failing, d.instances = true, false, now
	u.Instances = slices.Clone(now)
	return !same
}
