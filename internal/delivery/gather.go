package delivery

import (
	"context"
	"slices"
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
	// Others are the instances that it is not sent to, and why: instances that drain or cannot serve
	// it are skipped, and the address of some leads to another process.
	Others []Result
	// Uncertain is why there may be other instances than these; nil if discovery says that there are
	// not.
	Uncertain error

	view    *route.View
	topic   *fleet.Topic
	message *Message
	// served are the variants that those of Reached implement; nil if the message has only one.
	served map[*route.Entry][]int
}

var onlyVariant = []int{0}

// variants returns which variants of the message Reached[i] implements: the first that it takes is for it.
func (a *Audience) variants(i int) []int {
	if a.served == nil {
		return onlyVariant
	}
	return a.served[a.Reached[i]]
}

// Everybody returns the instances on the topic that are listed now. Its error means that they are
// not known: discovery could not be read yet, or cannot be read now and no instance is known.
func Everybody(ctx context.Context, topic *fleet.Topic, m *Message) (*Audience, error) {
	view, _, err := m.see(ctx, topic)
	if err != nil {
		return nil, Name(unseen(ctx, err), m.Target, m.Method)
	}
	a := &Audience{topic: topic, message: m, view: view, Uncertain: topic.Uncertain()}
	draining, skipped := a.settle(view)
	for _, e := range draining {
		err := &rpc.Error{Kind: rpc.Refused, NotStarted: true, Message: "the server drains, and takes only messages for it by name"}
		a.Others = append(a.Others, Result{e, true, Name(At(err, e), m.Target, m.Method)})
	}
	for _, e := range skipped {
		err := m.unable([]*route.Entry{e}, e.Server)
		a.Others = append(a.Others, Result{e, true, Name(At(err, e), m.Target, m.Method)})
	}
	for _, e := range view.Astray("") {
		a.Others = append(a.Others, Result{e, false, Name(At(strayed(e, e.Astray), e), m.Target, m.Method)})
		topic.Missed().Instance(e)
	}
	if a.Uncertain != nil && len(a.Reached)+len(a.Others) == 0 {
		err := &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: a.Uncertain, Message: "no server is known: " + a.Uncertain.Error()}
		return nil, Name(err, m.Target, m.Method)
	}
	return a, nil
}

// settle decides who is reached, and with which variant of the message, and returns the others.
func (a *Audience) settle(view *route.View) (draining, skipped []*route.Entry) {
	m := a.message
	if len(m.Lesser) == 0 {
		a.Reached, draining, skipped = view.All(m.Query)
		return draining, skipped
	}
	a.served = map[*route.Entry][]int{}
	for _, variant := range m.order(view, "") {
		var able []*route.Entry
		able, draining, skipped = view.All(m.query(variant))
		for _, e := range able {
			if a.served[e] == nil {
				a.Reached = append(a.Reached, e)
			}
			a.served[e] = append(a.served[e], variant)
		}
	}
	return draining, slices.DeleteFunc(skipped, func(e *route.Entry) bool { return a.served[e] != nil })
}

// Answer is what came of a message at one instance, and what it answered if there was no error.
type Answer[T any] struct {
	Result

	Value T
}

// Ask is Send for a message with an answer.
type Ask[T any] func(ctx context.Context, e *route.Entry, conn *grpc.ClientConn, variant int) (T, error)

// Gather sends to all that an audience reaches. Of each comes one answer; the channel has room for all, and is closed when nothing
// of it runs any more, which is soon after ctx ends.
//
// All of them run at the same time, as in a fanout.
func Gather[T any](ctx context.Context, a *Audience, ask Ask[T]) <-chan Answer[T] {
	answers := make(chan Answer[T], len(a.Reached))
	g := newGate(a.message.Size, len(a.Reached))
	var running sync.WaitGroup
	for i, e := range a.Reached {
		running.Go(func() {
			var answer Answer[T]
			answer.Result = a.toOne(ctx, g, e, a.variants(i), func(ctx context.Context, e *route.Entry, conn *grpc.ClientConn, v int) (err error) {
				answer.Value, err = ask(ctx, e, conn, v)
				return err
			})
			if a.message.missed(answer.Err) {
				a.topic.Missed().Instance(e)
			}
			answer.Err = At(answer.Err, e)
			answers <- answer
		})
	}
	go func() {
		running.Wait()
		close(answers)
	}()
	return answers
}
