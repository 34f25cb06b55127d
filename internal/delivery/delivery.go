// Package delivery gets a message to its instances, at most once each. It picks an instance,
// connects to it, and has the message sent. It picks again only when the message provably did not
// run. It does not know the content of a message, nor the carrier.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// connectBudget is how long a message waits for the connection to one instance.
	connectBudget = time.Second
	// patience is how long a message waits for an instance that was never tried. That is usually
	// enough to connect. Otherwise the message goes to a connected instance, while this one goes on
	// connecting.
	patience = 50 * time.Millisecond
	// slotBudget is how long a message waits for a place on the link to one instance; see
	// [carrier.Link].
	slotBudget = time.Second
	// settleTime is how far discovery may lag behind. A message to an unlisted server waits this long
	// before it fails: a server that has just started asks others to call it back before all of them
	// have heard of it.
	settleTime = 500 * time.Millisecond
	// learnTime is how long a client watches a topic until it knows which servers were there. A
	// restarting server looks absent to a client that has just begun to watch.
	learnTime = 3 * time.Second
	// fullWait is how long a fanout retries an instance that refuses the message because it is
	// full.
	fullWait = time.Second
	// The pause after each round in which no instance took the message doubles from minPause to
	// maxPause.
	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

// Message is what delivery needs to know about a message.
type Message struct {
	// Target is the receiver. If it has a Server, the message goes to an instance of that name.
	Target rpc.Target
	Method string
	// Query is what an instance must implement.
	Query route.Query
	// Fallbacks are the alternatives to Query, one for each further variant of the message, in order
	// of preference.
	Fallbacks []route.Query
	// Auto prefers the variants that every instance can serve.
	Auto bool
	// Blamer explains version errors; nil for none.
	Blamer Blamer
	// Turn is the message's place in the round robin.
	Turn uint64
	// Rounds is the maximum number of rounds; in each round, all instances may be tried. 0 means
	// that there is no maximum before the deadline.
	Rounds int
	// FailFast messages do not wait for an instance to appear or to become reachable, nor for
	// discovery to become readable.
	FailFast bool
	// Silence, if it is not 0, is how long the message may wait until it is sent to an instance. A
	// monitored call sets it.
	Silence time.Duration
	// Size is the approximate size of the message in bytes.
	Size int
	// Cast messages are answered as soon as they are accepted.
	Cast bool
	// Unanswered messages may count as sent before an instance has answered. They do not tell an
	// instance that it missed an earlier message, because that information might be lost with them.
	Unanswered bool
}

// Blamer names the part of a message because of which the message needs a version.
type Blamer interface {
	// Blame returns the part because of which the message cannot be sent at a lower version, in
	// words. It returns an empty string if there is no such part.
	Blame() string
}

// Attempt is one attempt to send a message to one instance.
type Attempt struct {
	Entry *route.Entry
	// Variant 0 is the message's Query; the others are its Fallbacks.
	Variant int
	// Missed is how long ago this process last failed to deliver a message to the instance. It is 0
	// if none failed.
	Missed time.Duration
	// Number counts the attempts of the message, or of this copy of it, from 1.
	Number int
}

// Send makes an attempt, and returns nil if the instance answered. An error is an *rpc.Error; its
// NotStarted says whether the message may be sent elsewhere. The caller has entered the link of the
// entry.
type Send func(ctx context.Context, a Attempt) error

// One delivers a message to one instance. It resends the message to another instance only if it
// provably did not run. Its error is an *rpc.Error with the target and the method.
func One(ctx context.Context, topic *fleet.Topic, m *Message, send Send) error {
	d := delivery{Message: m, topic: topic}
	err := d.run(ctx, send)
	if m.Target.Server != "" && m.missed(err) {
		topic.Missed().Server(topic.Name, m.Target.Server)
	}
	return failure.Name(At(err, d.at), m.Target, m.Method)
}

// At returns an error with the instance that the message was sent to. It returns err unchanged if
// the instance or the error is nil. It overwrites the server that the error names, because a server
// could name another one.
func At(err error, e *route.Entry) error {
	if e == nil {
		return err
	}
	return failure.With(err, func(ours *rpc.Error) {
		ours.Server, ours.InstanceID, ours.Addr = cmp.Or(e.Server, ours.Server), cmp.Or(e.ID, ours.InstanceID), e.Addr
	})
}

// delivery is the state of one message on its way to one instance. The send function is a parameter
// and not a field: as a field it would escape to the heap, with everything that it refers to.
type delivery struct {
	*Message

	topic *fleet.Topic

	attempt Attempt      // the current one
	at      *route.Entry // the instance that the final error is about, if any
	since   time.Time    // when the message first found no server
	tried   route.Tried  // the instances that were tried with the first variant
	// triedByFallback are the instances that were tried with each of the Fallbacks. It is nil until an
	// instance was tried.
	triedByFallback []route.Tried
	rounds          int
	// last is the error that explains why the message has not been delivered yet.
	last error
	// unable is the error of the last instance that was excluded because it cannot serve the
	// message or is not trusted. Able is true once an instance of this round failed for another
	// reason, so that another round may succeed.
	unable error
	able   bool
	// refusal says that a listed instance no longer accepts messages, and repeats the text of the
	// refusal. It completes the error if there is no other instance.
	refusal string
	// reached is true if the client could connect to an instance in this round.
	reached bool
	// misplaced is when attempts began to reach a process that lacks the server that the transport
	// URL names for its address. It is zero if the last attempt did not.
	misplaced time.Time
	// queued is true if the message waited for a place in this round.
	queued bool
}

func (d *delivery) run(ctx context.Context, send Send) error {
	waiting := ctx // bounds the time until the message is sent
	if d.Silence > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, d.Silence, errSilence)
		defer cancel()
	}
	for {
		view := d.topic.Now()
		var news wakers
		verdict := d.pick(view)
		if verdict != route.Found {
			if waiting.Err() != nil {
				return gaveUp(waiting, cmp.Or(d.last, d.unable))
			}
			// Look again, at a view with a channel for its changes.
			var err error
			news.ready = d.topic.BecameReady()
			if view, news.changed, err = d.see(waiting, d.topic); err != nil {
				return unseen(waiting, err)
			}
			verdict = d.pick(view)
		}
		var err error
		if verdict == route.Found {
			if err = d.try(ctx, waiting, send); err == nil {
				return nil
			}
			if isFinal(err) {
				d.at = d.attempt.Entry
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

// pick picks the instance and the variant of the message from one view.
func (d *delivery) pick(view *route.View) route.Verdict {
	if view == nil {
		return route.NoInstance
	}
	if len(d.Fallbacks) == 0 {
		return d.pickFor(view, 0)
	}
	verdict := route.NoInstance
	for _, variant := range d.order(view, d.Target.Server) {
		v := d.pickFor(view, variant)
		if v == route.Found {
			return v
		}
		verdict = max(verdict, v)
	}
	return verdict
}

func (d *delivery) pickFor(view *route.View, variant int) (verdict route.Verdict) {
	d.attempt.Variant = variant
	if d.Target.Server != "" {
		d.attempt.Entry, verdict = view.Server(d.query(variant), d.Target.Server, d.Turn, d.triedWith(variant))
	} else {
		d.attempt.Entry, verdict = view.Any(d.query(variant), d.Turn, d.triedWith(variant))
	}
	return verdict
}

// triedWith returns the instances that were tried with a variant, or are excluded for all variants.
func (d *delivery) triedWith(variant int) *route.Tried {
	if variant == 0 || d.triedByFallback == nil {
		return &d.tried
	}
	return &d.triedByFallback[variant-1]
}

// exclude keeps an instance from being picked again in this round. An instance that cannot serve
// one variant may serve another, since only its endpoint of another version may have the method. In
// that case exclude rules out only the variant that was tried.
func (d *delivery) exclude(e *route.Entry, err error) {
	if len(d.Fallbacks) == 0 {
		d.tried.Add(e)
		return
	}
	if d.triedByFallback == nil {
		d.triedByFallback = make([]route.Tried, len(d.Fallbacks))
	}
	for variant := range 1 + len(d.Fallbacks) {
		if variant == d.attempt.Variant || !isUnable(err) {
			d.triedWith(variant).Add(e)
		}
	}
}

// isUnable reports whether err says that the instance cannot serve the variant of the message.
func isUnable(err error) bool {
	switch rpc.KindOf(err) {
	case rpc.UnsupportedVersion, rpc.NoSuchMethod:
		return rpc.SafeToRetry(err) && !isEnd(err)
	default:
		return false
	}
}

// isFinal reports whether the delivery ends with err: the message may have run, or would fail at
// every other instance, too.
func isFinal(err error) bool {
	if isEnd(err) || !rpc.SafeToRetry(err) {
		return true
	}
	return !isUnable(err) && !rpc.IsNotDelivered(err) && !refusal.HeadersTooLarge(err)
}

// end is the error of an attempt that must be the last.
type end struct{ error }

// Unwrap returns the error.
func (e end) Unwrap() error { return e.error }

// End marks the error of an attempt as final: the message goes nowhere else, whatever the error
// says.
func End(err error) error { return end{err} }

func isEnd(err error) bool {
	_, is := errors.AsType[end](err)
	return is
}
