// Package delivery gets a message to the instances that it is meant for, at most once each: it picks, connects, sends, and
// picks again only when the message provably did not run. It does not know what a message looks like on the wire.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
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
	// learnTime is how long the servers on a topic are watched until it is known who was there: a server that restarts looks absent to a
	// client that has just begun to look.
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
	// FailFast messages do not wait for an instance to appear, or to become reachable, nor until discovery can be read.
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

// At completes an error with the instance that it is about, unless there is none. Nil stays nil. An error that a server signed says so
// by its server until then.
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
	since   time.Time    // when the message first found nobody
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

// errPatience means that an instance was not connected soon; it may be picked again.
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
	case rpcstatus.Gone(err):
		d.refusal = fmt.Sprintf("; server %q at %s, which was listed, said: %s", e.Server, e.Addr, said(err))
		d.topic.Gone(e)
		d.exclude(e, err)
	default:
		d.exclude(e, err)
	}
	if isUnable(err) {
		d.unable = At(err, e)
		return err
	}
	if !errors.Is(err, errPatience) { // what it can serve shows when it is picked again
		d.able = true
	}
	d.queued = d.queued || errors.Is(err, peer.ErrStreams)
	d.reached = d.reached || rpc.KindOf(err) != rpc.Unreachable
	if d.last == nil || waiting.Err() == nil { // when that ends, the error only says so, and the one before says why
		d.last = At(err, e)
	}
	return err
}

// misled reports whether err says that the address of an instance that is listed led to another process. A static address has no id, and a
// process there that starts again may not have the server meant yet; but another program has not either.
func misled(e *route.Entry, err error) bool {
	return rpcstatus.Misled(err) && !e.Unlisted && (e.ID != "" || errors.Is(err, rpcstatus.Foreign))
}

// strayed is the error about an instance whose address leads to another process; err is what that said.
func strayed(e *route.Entry, err error) error {
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: err, Message: fmt.Sprintf(
		"server %q at %s is listed, but its address leads to another process: %s", e.Server, e.Addr, said(err))}
}

// sendTo connects to an instance if need be and sends the message to it.
func sendTo(ctx, waiting context.Context, e *route.Entry, variant int, send Send) error {
	p := fleet.Peer(e)
	if !p.Health().Connected() {
		// To a peer that is down the message is sent all the same: gRPC says why it is down only to an RPC, which it does
		// not send then.
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
		return rpcstatus.Refuse(rpcstatus.Stopping)
	}
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: errors.Join(rpcstatus.Full, err), Message: fmt.Sprintf(
		"server %q at %s allows %d messages at a time on a connection, and they are all in use", e.Server, e.Addr, fleet.Peer(e).Streams())}
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
	return !isUnable(err) && !rpc.IsNotDelivered(err)
}

// wait waits until it is worth picking again, after a pick that found nobody, or returns why it is not.
func (d *delivery) wait(ctx context.Context, view *route.View, verdict route.Verdict, news wakers) error {
	if d.since.IsZero() {
		d.since = time.Now()
	}
	absent, length, err := d.assess(view, verdict)
	if err != nil {
		return err
	}
	d.rounds++
	if (d.FailFast && absent) || (d.Rounds > 0 && d.rounds >= d.Rounds) {
		return d.last
	}
	// A change wakes a message for which nobody is there. It looks again now and then all the same: an instance that lingers may
	// be connected again, a server may not be recent any more, and a topic that nobody looks at is not watched for ever.
	if !absent || d.Rounds > 0 {
		length = min(minPause<<min(d.rounds, 10), maxPause)
		length = length/2 + rand.N(length)
	}
	if d.queued { // it has waited already
		d.queued, length = false, minPause
	}
	d.rest(ctx, view, length, news)
	return nil
}

// wakers are closed when it may be worth picking again.
type wakers struct {
	changed <-chan struct{} // there is another view
	ready   <-chan struct{} // some server, perhaps of another topic, became ready
}

// rest returns after some time, or when there is another view, or an instance of this one can be sent to that became ready, or when ctx ends.
func (d *delivery) rest(ctx context.Context, view *route.View, length time.Duration, news wakers) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	for {
		select {
		case <-news.changed:
			return
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-news.ready:
			news.ready = d.topic.BecameReady()
			if e, verdict := d.pick(view); verdict == route.Found && e.Link.Health().Connected() {
				return
			}
		}
	}
}

// assess says what a pick that found nobody means: whether nobody is there, and how long to wait at most for a change of that; or that
// waiting does not help.
func (d *delivery) assess(view *route.View, verdict route.Verdict) (absent bool, length time.Duration, err error) {
	switch verdict {
	case route.Unable:
		return false, 0, d.unableNow(view, d.Target.Server)
	case route.Away:
		d.last = d.unableNow(view, d.Target.Server)
		return true, maxPause, nil
	case route.NoServer:
		return d.assessNoServer(view)
	case route.Exhausted:
		if !d.able {
			return false, 0, d.unable
		}
		if d.FailFast && !d.reached {
			return false, 0, d.last
		}
		d.tried.Reset()
		d.unfit = nil
		d.able, d.reached = false, false
		return false, 0, nil
	default:
		d.last = nobody(absence(view) + d.refusal)
		if astray := view.Astray(""); len(astray) > 0 {
			d.last = At(strayed(astray[0], astray[0].Astray), astray[0])
		}
		return true, maxPause, nil
	}
}

// assessNoServer is assess for a server that is not there. One that was there lately comes back soon. That another was not is known only to
// one who has looked for a while.
func (d *delivery) assessNoServer(view *route.View) (absent bool, length time.Duration, err error) {
	if astray := view.Astray(d.Target.Server); len(astray) > 0 {
		d.last = At(strayed(astray[0], astray[0].Astray), astray[0])
		return true, maxPause, nil
	}
	d.last = nobody(fmt.Sprintf("no server named %q is on the topic", d.Target.Server))
	if d.topic.Recent(d.Target.Server) {
		return true, maxPause, nil
	}
	length = max(settleTime-time.Since(d.since), learnTime-d.topic.Watched())
	if length <= 0 {
		return true, 0, d.last
	}
	return true, length, nil
}

// pause returns after some time, or when ctx ends.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// absence says why nobody on a topic takes messages.
func absence(view *route.View) string {
	if slices.ContainsFunc(view.Entries(), func(e *route.Entry) bool { return e.State == discovery.Draining && !e.Left }) {
		return "every server on the topic drains, and takes only messages for it by name"
	}
	return "no server is on the topic; start one, or check topic and exchange"
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

// see returns what is known of a topic. Unless the message fails fast, it waits until something is.
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
var errSilence = fmt.Errorf("nobody gave a sign of life: %w", context.DeadlineExceeded)

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
