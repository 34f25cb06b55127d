package delivery

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
)

// Relayed is a message that [Begin] has sent, or is about to.
type Relayed struct {
	topic   *fleet.Topic
	message *Message
	entry   *route.Entry
	waiter  carrier.Waiter
}

// Begin is [Exactly] without a waiting goroutine: it calls w with the outcome. Request returns the
// request for an attempt. Begin returns nil, and sends nothing, if it would have to wait.
func Begin(
	ctx context.Context, topic *fleet.Topic, m *Message, id string, request func(Attempt) *carrier.Request, w carrier.Waiter,
) carrier.Begun {
	view := topic.Now()
	if view == nil {
		return nil
	}
	e := view.Instance(id)
	if e == nil || e.Left {
		return nil
	}
	link, can := e.Link.(carrier.Relay)
	if h := e.Link.Health(); !can || !h.Connected() || h == carrier.Silent || e.Link.Enter(ctx, 0) != nil {
		return nil
	}
	b := link.Begin(ctx, request(Attempt{Entry: e, Number: 1}), &Relayed{topic, m, e, w})
	if b == nil {
		e.Link.Release()
		return nil
	}
	return b
}

// Answered implements [carrier.Waiter].
func (r *Relayed) Answered(reply carrier.Reply, err error) carrier.Drainer {
	r.entry.Link.Release()
	return r.waiter.Answered(reply, r.message.conclude(r.topic, r.entry, afterwards(r.entry, err)))
}

// Unsent implements [carrier.Waiter].
func (r *Relayed) Unsent() {
	r.entry.Link.Release()
	r.waiter.Unsent()
}
