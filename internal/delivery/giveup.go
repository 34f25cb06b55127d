package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// see returns the view of a topic. Unless the message fails fast, it waits for the first view.
func (m *Message) see(ctx context.Context, topic *fleet.Topic) (*route.View, <-chan struct{}, error) {
	if m.FailFast {
		return topic.Glance(ctx)
	}
	return topic.View(ctx)
}

// Known returns the view of a topic. It waits until discovery has answered for the first time.
func Known(ctx context.Context, topic *fleet.Topic) (*route.View, error) {
	view, _, err := topic.View(ctx)
	if err != nil {
		return nil, unseen(ctx, err)
	}
	return view, nil
}

// unseen returns the error for a topic whose instances could not be learned.
func unseen(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err // the fleet is closed, or the message fails fast
	}
	return gaveUp(ctx, err)
}

// errSilence is the cause if a monitored call is given up because no instance took it within
// Message.Silence. The caller cannot tell that from the silence of a hung server.
var errSilence = fmt.Errorf("no server took the call within the call monitor's timeout: %w", context.DeadlineExceeded)

// gaveUp returns the error of a message that was not sent before the deadline passed or the caller
// canceled it. Last is why it was not sent.
func gaveUp(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return &rpc.Error{Kind: rpc.Canceled, NotStarted: true, Cause: cause, Message: "it was not sent"}
	}
	if _, ours := errors.AsType[*rpc.Error](last); !ours {
		return &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Cause: cause, Message: "it was not sent"}
	}
	return failure.With(last, func(e *rpc.Error) {
		e.Cause = errors.Join(e.Cause, cause)
		if errors.Is(cause, errSilence) {
			e.Message += "; the call monitor's timeout passed"
		}
	})
}
