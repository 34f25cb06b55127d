package delivery

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Audience is whom a message for everybody is for: the instances that were listed at one time.
type Audience struct {
	// Reached are those that it is sent to.
	Reached []*route.Entry
	// Skipped are those that drain, and those that cannot serve it.
	Skipped []Result

	topic   *fleet.Topic
	message *Message
}

// Everybody returns the instances on the topic that are listed now. Its error means that they are not known.
func Everybody(ctx context.Context, topic *fleet.Topic, m *Message) (*Audience, error) {
	view, _, err := topic.View(ctx)
	if err != nil {
		return nil, Name(unseen(ctx, err), m.Target, m.Method)
	}
	reached, draining, skipped := view.All(m.Query)
	a := &Audience{Reached: reached, topic: topic, message: m}
	for _, e := range draining {
		err := &rpc.Error{Kind: rpc.Refused, NotStarted: true, Message: "the server drains, and takes only messages for it by name"}
		a.Skipped = append(a.Skipped, Result{e, true, Name(err, m.Target, m.Method)})
	}
	for _, e := range skipped {
		err := unable([]*route.Entry{e}, m.Query, e.Server)
		a.Skipped = append(a.Skipped, Result{e, true, Name(err, m.Target, m.Method)})
	}
	return a, nil
}

// Answer is what came of a message at one instance, and what it answered if there was no error.
type Answer[T any] struct {
	Result

	Value T
}

// Ask is Send for a message with an answer.
type Ask[T any] func(ctx context.Context, e *route.Entry, conn *grpc.ClientConn) (T, error)

// Gather sends to all that an audience reaches. Of each comes one answer; the channel has room for all, and is closed when nothing
// of it runs any more, which is soon after ctx ends.
//
// Unlike those of a fanout, the messages run all at the same time, since some may take as long as ctx lets them and would hold
// up the others; only making connections is bounded.
func Gather[T any](ctx context.Context, a *Audience, ask Ask[T]) <-chan Answer[T] {
	answers := make(chan Answer[T], len(a.Reached))
	connecting := make(chan struct{}, parallel)
	var running sync.WaitGroup
	for _, e := range a.Reached {
		running.Go(func() {
			connecting <- struct{}{}
			connected := sync.OnceFunc(func() { <-connecting })
			defer connected()
			var answer Answer[T]
			answer.Result = toOne(ctx, a.topic, a.message, e, func(ctx context.Context, e *route.Entry, conn *grpc.ClientConn) (err error) {
				connected()
				answer.Value, err = ask(ctx, e, conn)
				return err
			})
			answers <- answer
		})
	}
	go func() {
		running.Wait()
		close(answers)
	}()
	return answers
}
