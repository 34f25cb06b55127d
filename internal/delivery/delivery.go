// Package delivery gets a message to the instances that it is meant for, at most once each: it picks, connects, sends, and
// picks again only when the message provably did not run. It does not know what a message looks like on the wire.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// connectBudget is how long a message waits for the connection to one instance.
	connectBudget = time.Second
	// patience is how long a message waits for an instance that was never tried. It mostly suffices to connect; if not, the message
	// goes to an instance that is connected while this one goes on connecting.
	patience = 50 * time.Millisecond
	// slotBudget is how long a message waits for a stream to one instance.
	slotBudget = time.Second
	// settleTime is how far discovery may lag behind: a message to a server that is not listed waits so long before it fails. A server
	// that just came up asks others to call it back before all of them have heard of it.
	settleTime = 500 * time.Millisecond
	// learnTime is how long the servers on a topic are watched until it is known who was there: a
	// server that restarts looks absent to a client that has just begun to look.
	learnTime = 3 * time.Second
	// fullWait is how long a fanout waits for an instance that is full.
	fullWait = time.Second
	// The pause after each round in which no instance took the message doubles from minPause to maxPause.
	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

// Message is what delivery needs to know of a message.
type Message struct {
	// Target is who is meant; its Server pins the message to a server name.
	Target rpc.Target
	Method string
	// Query is what an instance must implement.
	Query route.Query
	// Lesser are what it must implement instead, one for each further variant of the message, the preferred ones first.
	Lesser []route.Query
	// Auto prefers the variants that every instance can serve.
	Auto bool
	// Blame says what in the message needs the version that nobody serves; nil if there is nothing to say.
	Blame func() string
	// Turn is the message's place in the round robin.
	Turn uint64
	// Rounds is how often all instances may be tried; 0 means until the deadline.
	Rounds int
	// FailFast messages do not wait for an instance to appear, or to become reachable, nor until
	// discovery can be read.
	FailFast bool
	// Silence, if it is not 0, is how long the message may wait until an instance takes it.
	Silence time.Duration
	// Size is about how many bytes the message has.
	Size int
	// Cast messages are answered as soon as they are accepted.
	Cast bool
}

// Send sends a variant of a message to one instance and returns nil if it was answered. An error is an *rpc.Error, and tells by
// NotStarted whether the message may be sent elsewhere. Variant 0 is that of the message's Query, the others are Lesser.
type Send func(ctx context.Context, e *route.Entry, conn *grpc.ClientConn, variant int) error

// One delivers a message to one instance. Its error is an *rpc.Error that names the message.
func One(ctx context.Context, topic *fleet.Topic, m *Message, send Send) error {
	d := delivery{Message: *m, topic: topic}
	err := d.run(ctx, send)
	if m.Target.Server != "" && m.missed(err) {
		topic.Missed().Server(topic.Name, m.Target.Server)
	}
	return Name(At(err, d.at), m.Target, m.Method)
}

// At adds to an error the instance that it is about, if there is one. Nil stays nil. Until then,
// an error names a server only if that server made it.
func At(err error, e *route.Entry) error {
	ours, ok := errors.AsType[*rpc.Error](err)
	if !ok || e == nil {
		return err
	}
	placed := *ours
	placed.Server, placed.InstanceID, placed.Addr = cmp.Or(ours.Server, e.Server), cmp.Or(ours.InstanceID, e.ID), e.Addr
	return &placed
}

// Name completes an error with the message that it is about. Nil stays nil.
func Name(err error, target rpc.Target, method string) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	named := *e
	named.Target, named.Method = target, method
	return &named
}

// delivery is the state of one message on its way to one instance. It does not hold what sends the message, which would then have to
// be on the heap, with all that it refers to.
type delivery struct {
	Message
	topic *fleet.Topic

	at      *route.Entry // the instance that the final error is about, if any
	variant int          // of the message, for the instance that was picked
	since   time.Time    // when the message first found no server
	tried   route.Tried
	// unfit are as tried, which is for the first variant, for each of Lesser. Nil while no instance was tried.
	unfit  []route.Tried
	rounds int
	// last is why the message has not been delivered yet.
	last error
	// unable is why the last instance that cannot serve the message at all does not; able is false while every instance tried
	// in this round was such a one.
	unable error
	able   bool
	// refusal is what an instance said that was listed and is not there, for the case that nobody else is.
	refusal string
	// reached is true if an instance tried in this round could be connected to.
	reached bool
	// queued is true if the message waited in this round for a stream.
	queued bool
}

func (d *delivery) run(ctx context.Context, send Send) error {
	waiting := ctx // while no instance has the message
	if d.Silence > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, d.Silence, errSilence)
		defer cancel()
	}
	for {
		view := d.topic.Now()
		var news wakers
		entry, verdict := d.pick(view)
		if verdict != route.Found {
			if waiting.Err() != nil {
				return gaveUp(waiting, cmp.Or(d.last, d.unable))
			}
			// Look again at a view whose change can be waited for.
			var err error
			news.ready = d.topic.BecameReady()
			if view, news.changed, err = d.see(waiting, d.topic); err != nil {
				return unseen(waiting, err)
			}
			entry, verdict = d.pick(view)
		}
		var err error
		if verdict == route.Found {
			if err = d.attempt(ctx, waiting, entry, send); err == nil {
				return nil
			}
			if d.final(err) {
				d.at = entry
				return err
			}
		} else if err = d.wait(waiting, view, verdict, news); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return gaveUp(ctx, cmp.Or(d.last, d.unable))
		}
	}
}

// pick picks the instance, and the variant of the message for it, from one view.
func (d *delivery) pick(view *route.View) (picked *route.Entry, verdict route.Verdict) {
	if view == nil {
		return nil, route.Nobody
	}
	if len(d.Lesser) == 0 {
		return d.pickFor(view, d.Query, &d.tried)
	}
	verdict = route.Nobody
	for _, variant := range d.order(view, d.Target.Server) {
		e, v := d.pickFor(view, d.query(variant), d.triedFor(variant))
		if v == route.Found {
			d.variant = variant
			return e, v
		}
		verdict = max(verdict, v)
	}
	return nil, verdict
}

func (d *delivery) pickFor(view *route.View, q route.Query, tried *route.Tried) (*route.Entry, route.Verdict) {
	if d.Target.Server != "" {
		return view.Server(q, d.Target.Server, d.Turn, tried)
	}
	return view.Any(q, d.Turn, tried)
}

// triedFor returns the instances that were tried with a variant, or that are not to be tried with any.
func (d *delivery) triedFor(variant int) *route.Tried {
	if variant == 0 || d.unfit == nil {
		return &d.tried
	}
	return &d.unfit[variant-1]
}

// exclude keeps an instance from being picked again. One that cannot serve a variant may serve another: what it implements is known
// by namespace, and it may have the method in an endpoint of another version only.
func (d *delivery) exclude(e *route.Entry, err error) {
	if len(d.Lesser) == 0 {
		d.tried.Add(e)
		return
	}
	if d.unfit == nil {
		d.unfit = make([]route.Tried, len(d.Lesser))
	}
	for variant := range 1 + len(d.Lesser) {
		if variant == d.variant || !isUnable(err) {
			d.triedFor(variant).Add(e)
		}
	}
}

// isUnable reports whether an instance cannot serve the message, now or later.
func isUnable(err error) bool {
	switch rpc.KindOf(err) {
	case rpc.UnsupportedVersion, rpc.NoSuchMethod:
		return rpc.SafeToRetry(err)
	default:
		return false
	}
}

// final reports whether no other instance is to be tried after err: the message may have run, or it would fare no better there.
func (d *delivery) final(err error) bool {
	if !rpc.SafeToRetry(err) {
		return true
	}
	return !isUnable(err) && !rpc.IsNotDelivered(err) && !refusal.HeadersTooLarge(err)
}

// said returns the text of an error without its kind.
func said(err error) string {
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

func nobody(message string) error {
	return &rpc.Error{Kind: rpc.NoInstance, NotStarted: true, Message: message}
}

// see returns the view of a topic. Unless the message fails fast, it waits for the first view.
func (m *Message) see(ctx context.Context, topic *fleet.Topic) (*route.View, <-chan struct{}, error) {
	if m.FailFast {
		return topic.Glance(ctx)
	}
	return topic.View(ctx)
}

// Known returns what is known of a topic, as soon as something is.
func Known(ctx context.Context, topic *fleet.Topic) (*route.View, error) {
	view, _, err := topic.View(ctx)
	if err != nil {
		return nil, unseen(ctx, err)
	}
	return view, nil
}

// unseen is the error when the instances could not be learned.
func unseen(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err // the fleet is closed, or the message fails fast
	}
	return gaveUp(ctx, err)
}

// errSilence is why a monitored message is given up that no instance took: silence is silence, whoever keeps it.
var errSilence = fmt.Errorf("no sign of life came: %w", context.DeadlineExceeded)

// gaveUp is the error when the deadline passed, or the caller canceled, before a message was sent; last is why it was not.
func gaveUp(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return &rpc.Error{Kind: rpc.Canceled, NotStarted: true, Cause: cause, Message: "canceled before it was sent"}
	}
	limit := "the deadline"
	if errors.Is(cause, errSilence) {
		limit = "the monitor's timeout"
	}
	var e *rpc.Error
	if !errors.As(last, &e) {
		return &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Cause: cause, Message: limit + " passed before it was sent"}
	}
	late := *e
	late.Cause = errors.Join(e.Cause, cause)
	late.Message += fmt.Sprintf(" (waited until %s)", limit)
	return &late
}
