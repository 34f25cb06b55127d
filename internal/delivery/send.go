package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// errPatience means that an instance was not connected within the time patience. The connection is
// still being made, so the instance may be picked again.
var errPatience = errors.New("connecting takes longer than usual; its process may be hung, or the network may not reach it")

// try makes an attempt at the picked instance. Waiting bounds the time before the message is sent.
func (d *delivery) try(ctx, waiting context.Context, send Send) error {
	e := d.attempt.Entry
	err := d.hand(ctx, waiting, d.topic.Missed(), &d.attempt, send)
	switch {
	case err == nil:
		d.topic.Proved(e)
		return nil
	case isEnd(err):
		return err
	case refusal.Unproven(err):
		d.topic.Unproven(e)
		d.exclude(e, err)
	case errors.Is(err, errPatience):
	case misled(e, err):
		d.topic.Astray(e, err)
		err = strayed(e, err)
		d.exclude(e, err)
	case misplaced(e, err):
		err = displaced(e, err)
		d.exclude(e, err)
	case refusal.Gone(err):
		d.refusal = fmt.Sprintf("; server %q at %s, which was listed, said: %s", e.Server, e.Addr, failure.Text(err))
		d.topic.Gone(e)
		d.exclude(e, err)
	default:
		d.exclude(e, err)
	}
	d.noteMisplaced(err)
	if isUnfit(err) {
		d.unable = At(err, e)
		return err
	}
	if !errors.Is(err, errPatience) { // nothing is known about an instance that is still being connected
		d.able = true
	}
	d.queued = d.queued || errors.Is(err, carrier.ErrFull)
	d.reached = d.reached || rpc.KindOf(err) != rpc.Unreachable
	d.remember(waiting, e, err)
	return err
}

// remember keeps the error that explains why the message was not delivered. At the deadline, an
// error says only that the deadline passed, so remember keeps the error before it. The carrier may
// notice the deadline a moment before waiting ends.
func (d *delivery) remember(waiting context.Context, e *route.Entry, err error) {
	if d.last == nil || waiting.Err() == nil && rpc.KindOf(err) != rpc.Timeout {
		d.last = At(err, e)
	}
}

// isUnfit reports whether err says that an instance can never take the message.
func isUnfit(err error) bool {
	return isUnable(err) || refusal.HeadersTooLarge(err) || rpc.KindOf(err) == rpc.Untrusted
}

// misled reports whether err says that the address of a listed instance led to another process. A
// static address has no id: a process there that has just started may not have the server yet, and
// another program never will.
func misled(e *route.Entry, err error) bool {
	return refusal.Misled(err) && !e.Unlisted && (e.ID != "" || errors.Is(err, refusal.Foreign))
}

// strayed returns the error about an instance whose address leads to another process. Err is what
// that process said.
func strayed(e *route.Entry, err error) error {
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: err, Message: fmt.Sprintf(
		"stale registration of server %q at %s, where another process listens now: %s", e.Server, e.Addr, failure.Text(err))}
}

// hand connects to the instance of an attempt, if necessary, and sends the message with send.
// Waiting bounds the time before it is sent. The attempt tells the instance if this process failed
// to deliver a message to it earlier.
func (m *Message) hand(ctx, waiting context.Context, missed *fleet.Missed, a *Attempt, send Send) error {
	e, link := a.Entry, a.Entry.Link
	if !link.Health().Connected() {
		// Call send even if the process is down. The carrier then does not send the message, and
		// its error explains why the process is down.
		if err := connect(waiting, e); err != nil && (waiting.Err() != nil || link.Health() != carrier.Down) {
			return err
		}
	}
	if err := link.Enter(waiting, slotBudget); err != nil {
		return noPlace(e, err)
	}
	defer link.Release()
	var hint fleet.Hint
	if !m.Unanswered {
		hint = missed.Hint(e)
	}
	a.Number++
	a.Missed = hint.Ago
	err := send(ctx, *a)
	hint.Settle(err)
	return afterwards(e, err)
}

// afterwards completes the error of an attempt that found the instance unreachable.
func afterwards(e *route.Entry, err error) error {
	if rpc.KindOf(err) == rpc.Unreachable && rpc.SafeToRetry(err) && !isEnd(err) {
		return unreachable(e, err)
	}
	return err
}

// noPlace returns the error for an instance that had no place for the message.
func noPlace(e *route.Entry, err error) error {
	if errors.Is(err, net.ErrClosed) { // the instance has left in the meantime
		return refusal.New(refusal.Stopping)
	}
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: errors.Join(refusal.Full, err), Message: fmt.Sprintf(
		"server %q at %s allows %d messages at a time on a connection, and they are all in use", e.Server, e.Addr, e.Link.Capacity())}
}

// connect connects to an instance. How long it waits depends on the state of the instance.
func connect(ctx context.Context, e *route.Entry) error {
	budget, late := connectBudget, context.DeadlineExceeded
	switch e.Link.Health() {
	case carrier.Idle:
		budget, late = patience, errPatience
	case carrier.Down, carrier.Silent: // the pool retries in the background; do not wait long for each of many
		budget = patience
	}
	wait, cancel := context.WithTimeoutCause(ctx, budget, late)
	defer cancel()
	err := e.Link.Connect(wait)
	switch {
	case err == nil:
		return nil
	case wait.Err() != nil:
		return unreachable(e, context.Cause(wait))
	default:
		return unreachable(e, err)
	}
}

// unreachable returns the error about an instance that cannot be reached now.
func unreachable(e *route.Entry, err error) error {
	why := err
	if text := failure.Text(err); text != "" && rpc.KindOf(err) != rpc.Unknown {
		why = errors.New(text) // without the kind, which the new error repeats
	}
	kind, text := e.Link.Explain(e.Server, why)
	return &rpc.Error{Kind: kind, NotStarted: true, Cause: err, Message: text}
}
