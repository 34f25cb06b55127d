package dispatch

import (
	"errors"
	"time"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/refusal"
)

// errRepeated is the error for a message that was accepted before.
var errRepeated = errors.New("repeated message")

// accept selects the method and admits the message. If it succeeds, the message counts as accepted
// until end is called. The statistics also count messages that no method here serves: they show
// which callers an upgrade would break.
func (d *Dispatcher) accept(r *Request) (selected, *ticket, error) {
	now := time.Now()
	sel, err := d.config.Table.lookup(r)
	if err != nil {
		d.stats.count(ask(r), true, now)
		return selected{}, nil, err
	}
	ticket, err := d.take(r, now)
	if err != nil {
		if r.From != nil && d.queue.isCrowdedBy(r.From, r.size()) {
			r.From.Refused(limits.WorkerShare)
		}
		return selected{}, nil, err
	}
	d.stats.count(ask(r), false, now)
	return sel, ticket, nil
}

// take admits a message whose method was found, unless it was received before.
func (d *Dispatcher) take(r *Request, now time.Time) (*ticket, error) {
	sender := r.sender()
	d.mu.Lock()
	defer d.mu.Unlock()
	// Check this before all other refusals, because a message that may have run must not be reported
	// as "not started".
	window := d.windows.of(sender, now)
	if !window.add(r.ID, now) {
		return nil, errRepeated
	}
	ticket, err := d.admit(r)
	if err != nil {
		window.forget(r.ID)
		return nil, err
	}
	d.accepted++
	if d.config.OnAccept != nil {
		d.config.OnAccept(r)
	}
	return ticket, nil
}

// admit adds a message to the queue, or refuses it. The lock is held.
func (d *Dispatcher) admit(r *Request) (*ticket, error) {
	if d.Phase().Refuses() {
		return nil, refusal.New(refusal.Stopping)
	}
	if ticket := d.queue.admit(r.size(), r.From, r.OrderKey); ticket != nil {
		return ticket, nil
	}
	return nil, refusal.New(refusal.Full)
}

// forget removes the id of an accepted message from the window, because its caller is told that it
// did not start and may send it again.
func (d *Dispatcher) forget(r *Request) {
	sender := r.sender()
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.windows[sender]; w != nil {
		w.forget(r.ID)
	}
}

// end is called when an accepted message has ended.
func (d *Dispatcher) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted--
	d.closeEnded()
}

// closeEnded wakes Stop if the server refuses messages and no accepted message is left. The lock is
// held.
func (d *Dispatcher) closeEnded() {
	if d.accepted == 0 && d.Phase().Refuses() {
		d.endOnce.Do(func() { close(d.ended) })
	}
}
