package delivery

import (
	"context"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Audience is the set of receivers of a message for all servers: the instances of one view.
type Audience struct {
	// Reached are the instances that it is sent to.
	Reached []*route.Entry
	// Others are the results of the instances that it is not sent to: they drain, cannot serve it,
	// or have an address that leads to another process.
	Others []Result
	// Uncertain is why there may be further, unknown instances: discovery cannot be read now. It is
	// nil if discovery can be read.
	Uncertain error

	view    *route.View
	topic   *fleet.Topic
	message *Message
	// served has the variants that each instance of Reached implements, in order of preference. It
	// is nil if the message has only one variant.
	served map[*route.Entry][]int
}

var onlyVariant = []int{0}

// variants returns the variants of the message that Reached[i] implements. The instance gets the
// first one that it takes.
func (a *Audience) variants(i int) []int {
	if a.served == nil {
		return onlyVariant
	}
	return a.served[a.Reached[i]]
}

// AudienceOf returns the instances on the topic that are listed now. An error means that they are
// not known: discovery could not be read yet, or cannot be read now and no instance is known.
func AudienceOf(ctx context.Context, topic *fleet.Topic, m *Message) (*Audience, error) {
	view, _, err := m.see(ctx, topic)
	if err != nil {
		return nil, failure.Name(unseen(ctx, err), m.Target, m.Method)
	}
	a := &Audience{topic: topic, message: m, view: view, Uncertain: topic.Uncertain()}
	draining, skipped := a.settle(view)
	for _, e := range draining {
		err := &rpc.Error{Kind: rpc.Refused, NotStarted: true, Message: "the server drains, and takes only messages for it by name"}
		a.Others = append(a.Others, Result{e, true, a.about(err, e)})
	}
	for _, e := range skipped {
		err := m.unable([]*route.Entry{e}, e.Server)
		a.Others = append(a.Others, Result{e, true, a.about(err, e)})
	}
	for _, e := range view.Astray("") {
		a.Others = append(a.Others, Result{e, false, a.about(strayed(e, e.Astray), e)})
		topic.Missed().Instance(e)
	}
	if a.Uncertain != nil && len(a.Reached)+len(a.Others) == 0 {
		err := &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: a.Uncertain, Message: "no server is known: " + failure.Text(a.Uncertain)}
		return nil, failure.Name(err, m.Target, m.Method)
	}
	return a, nil
}

// Keep removes the instances for which keep returns false.
func (a *Audience) Keep(keep func(*route.Entry) bool) {
	a.Reached = slices.DeleteFunc(slices.Clone(a.Reached), func(e *route.Entry) bool { return !keep(e) })
	a.Others = slices.DeleteFunc(a.Others, func(r Result) bool { return !keep(r.Entry) })
}

// settle decides which instances get the message, and in which variants. It returns the other
// instances.
func (a *Audience) settle(view *route.View) (draining, skipped []*route.Entry) {
	m := a.message
	if len(m.Fallbacks) == 0 {
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

// Answer is the outcome of a message at one instance, and its answer if there was no error.
type Answer[T any] struct {
	Result

	Value T
}

// Ask is Send for a message with an answer.
type Ask[T any] func(ctx context.Context, a Attempt) (T, error)

// Gather sends to all instances of an audience at the same time. The channel gets one answer for
// each of them, and has room for all. It is closed after the last answer, which comes soon after
// ctx ends at the latest.
func Gather[T any](ctx context.Context, a *Audience, ask Ask[T]) <-chan Answer[T] {
	answers := make(chan Answer[T], len(a.Reached))
	g := newGate(a.message.Size, len(a.Reached))
	var running sync.WaitGroup
	for i, e := range a.Reached {
		running.Go(func() {
			answer := Answer[T]{Result: Result{Entry: e, Err: exited()}}
			defer func() {
				if a.message.missed(answer.Err) {
					a.topic.Missed().Instance(answer.Entry)
				}
				answer.Err = a.about(answer.Err, answer.Entry)
				answers <- answer
			}()
			answer.Result = a.toOne(ctx, g, e, a.variants(i), func(ctx context.Context, to Attempt) (err error) {
				answer.Value, err = ask(ctx, to)
				return err
			})
		})
	}
	go func() {
		running.Wait()
		close(answers)
	}()
	return answers
}
