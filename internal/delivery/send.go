package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// errPatience means that an instance was not connected soon. It may be picked again.
var errPatience = errors.New("connecting takes longer than usual")

// attempt sends the message to one instance; waiting bounds what comes before that.
func (d *delivery) attempt(ctx, waiting context.Context, e *route.Entry, send Send) error {
	err := sendTo(ctx, waiting, e, d.variant, send)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errPatience):
	case misled(e, err):
		d.topic.Astray(e, err)
		err = strayed(e, err)
		d.exclude(e, err)
	case refusal.Gone(err):
		d.refusal = fmt.Sprintf("; server %q at %s, which was listed, said: %s", e.Server, e.Addr, said(err))
		d.topic.Gone(e)
		d.exclude(e, err)
	default:
		d.exclude(e, err)
	}
	if isUnable(err) || refusal.HeadersTooLarge(err) {
		d.unable = At(err, e)
		return err
	}
	if !errors.Is(err, errPatience) { // what it can serve shows when it is picked again
		d.able = true
	}
	d.queued = d.queued || errors.Is(err, carrier.ErrFull)
	d.reached = d.reached || rpc.KindOf(err) != rpc.Unreachable
	if d.last == nil || waiting.Err() == nil { // when that ends, the error only says so, and the one before says why
		d.last = At(err, e)
	}
	return err
}

// misled reports whether err says that the address of an instance that is listed led to another
// process. A static address has no id, and a process there that starts again may not have the
// server meant yet; but neither does another program.
func misled(e *route.Entry, err error) bool {
	return refusal.Misled(err) && !e.Unlisted && (e.ID != "" || errors.Is(err, refusal.Foreign))
}

// strayed is the error about an instance whose address leads to another process; err is what that
// said.
func strayed(e *route.Entry, err error) error {
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: err, Message: fmt.Sprintf(
		"server %q at %s is listed, but its address leads to another process: %s", e.Server, e.Addr, said(err))}
}

// sendTo connects to an instance if need be and sends the message to it.
func sendTo(ctx, waiting context.Context, e *route.Entry, variant int, send Send) error {
	p := fleet.Peer(e)
	if !p.Health().Connected() {
		// To a peer that is down the message is sent all the same: gRPC says why it is down only to
		// an RPC, which it does not send then.
		if err := connect(waiting, e, p); err != nil && (waiting.Err() != nil || p.Health() != peer.Down) {
			return err
		}
	}
	if err := p.Enter(waiting, slotBudget); err != nil {
		return noStream(e, err)
	}
	defer p.Release()
	conn, err := p.Conn() //nolint:contextcheck // The connection outlives the message.
	if err != nil {
		return unreachable(e, err)
	}
	err = send(ctx, e, conn, variant)
	if rpc.KindOf(err) == rpc.Unreachable && rpc.SafeToRetry(err) {
		return unreachable(e, err)
	}
	return err
}

// noStream is the error when an instance could not be sent to for want of a stream.
func noStream(e *route.Entry, err error) error {
	if errors.Is(err, net.ErrClosed) { // it was dropped meanwhile
		return refusal.New(refusal.Stopping)
	}
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: errors.Join(refusal.Full, err), Message: fmt.Sprintf(
		"server %q at %s allows %d messages at a time on a connection, and they are all in use", e.Server, e.Addr, fleet.Peer(e).Capacity())}
}

func connect(ctx context.Context, e *route.Entry, p *peer.Peer) error {
	budget, late := connectBudget, context.DeadlineExceeded
	switch p.Health() {
	case peer.Idle:
		budget, late = patience, errPatience
	case peer.Down, peer.Silent: // it is tried again in the background; a message does not wait for each of many such
		budget = patience
	}
	wait, cancel := context.WithTimeoutCause(ctx, budget, late)
	defer cancel()
	err := p.Connect(wait)
	switch {
	case err == nil:
		return nil
	case wait.Err() != nil:
		return unreachable(e, context.Cause(wait))
	default:
		return unreachable(e, err)
	}
}

func unreachable(e *route.Entry, err error) error {
	why := err
	if ours, ok := errors.AsType[*rpc.Error](err); ok && ours.Message != "" {
		why = errors.New(ours.Message) // it is of the same kind
	}
	return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: fleet.Peer(e).Explain(e.Server, why)}
}
