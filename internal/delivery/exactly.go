package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
)

// Exactly makes one attempt to deliver a message to the instance that its sender chose, such as the
// client of a gateway. The sender decides whether to send it again. For that, the error is the
// instance's own, and its NotStarted says whether the message provably did not run.
func Exactly(ctx context.Context, topic *fleet.Topic, m *Message, id string, send Send) error {
	e, err := listed(ctx, topic, id)
	if err != nil {
		return failure.Name(err, m.Target, m.Method)
	}
	return m.conclude(topic, e, m.exactly(ctx, topic, e, send))
}

// conclude tells the topic what the outcome of an attempt says about the instance, and adds the
// message and the instance to the error.
func (m *Message) conclude(topic *fleet.Topic, e *route.Entry, err error) error {
	switch {
	case err == nil:
		topic.Proved(e)
		return nil
	case isEnd(err):
	case misled(e, err):
		topic.Astray(e, err)
	case refusal.Gone(err):
		topic.Gone(e)
	case refusal.Unproven(err):
		topic.Unproven(e)
	}
	return failure.Name(At(err, e), m.Target, m.Method)
}

// exactly waits up to connectBudget until the instance is connected, and makes the attempt.
func (m *Message) exactly(ctx context.Context, topic *fleet.Topic, e *route.Entry, send Send) error {
	late := time.Now().Add(connectBudget)
	for {
		attempt := Attempt{Entry: e}
		err := m.hand(ctx, ctx, topic.Missed(), &attempt, send)
		if !errors.Is(err, errPatience) || time.Now().After(late) {
			return err
		}
	}
}

// listed returns the entry of an instance. It waits up to settleTime until discovery lists the
// instance, because the sender may have learned of it a moment earlier than this process.
func listed(ctx context.Context, topic *fleet.Topic, id string) (*route.Entry, error) {
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for {
		view, changed, err := topic.View(ctx)
		if err != nil {
			return nil, unseen(ctx, err)
		}
		if e := view.Instance(id); e != nil && !e.Left {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, gaveUp(ctx, nil)
		case <-settled.C:
			gone := refusal.New(refusal.Stopping)
			gone.Message = fmt.Sprintf("the instance %.80q is not on the topic, or has left it", id)
			return nil, gone
		}
	}
}
