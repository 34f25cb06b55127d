package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"google.golang.org/protobuf/proto"
)

// kind is what distinguishes the deliveries.
type kind struct {
	delivery rpc.Delivery
	mode     carrier.Mode
	// single is the name of the delivery in the error for a target with fanout; such a delivery cannot
	// fan out.
	single string
	// toAll: every server gets its own copy.
	toAll bool
	// timeout bounds the operation if neither ctx nor the client does. 0 means that the delivery
	// bounds its parts.
	timeout time.Duration
	// patient operations take their timeout from the client's Backoff.
	patient bool
	// monitored operations watch for signs of life, if the client is set to do so.
	monitored bool
	// unnamed messages have an id only if they need one.
	unnamed bool
	// streams of a typed service begin with their first message.
	streams bool
}

var (
	calls = kind{
		delivery: rpc.DeliveryCall, mode: carrier.Call, single: "a call", timeout: DefaultCallTimeout, patient: true, monitored: true,
	}
	casts      = kind{delivery: rpc.DeliveryCast, mode: carrier.Cast, timeout: DefaultCastTimeout}
	fanouts    = kind{delivery: rpc.DeliveryFanout, mode: carrier.Cast, toAll: true, timeout: DefaultCastTimeout}
	gathers    = kind{delivery: rpc.DeliveryGather, mode: carrier.Call, toAll: true, timeout: DefaultCallTimeout, monitored: true}
	multicalls = kind{delivery: rpc.DeliveryMulticall, mode: carrier.Multicall, single: "a multicall"}
	// A typed call has no id, because nothing repeats the call, and the header is not free.
	typedCalls    = kind{delivery: rpc.DeliveryCall, mode: carrier.Call, single: "a call", timeout: DefaultCallTimeout, patient: true, unnamed: true}
	typedStreams  = kind{delivery: rpc.DeliveryStream, mode: carrier.Call, single: "a stream", unnamed: true, streams: true}
	typedWatching = kind{delivery: rpc.DeliveryMulticall, mode: carrier.Call, single: "a stream", unnamed: true, streams: true}
)

// codec is what distinguishes dynamic and typed messages.
type codec interface {
	// variants checks and encodes the message. It returns the preferred variant of the message, and
	// the others in order of preference.
	variants(ctx context.Context) (preferred variant, others []variant, err error)
	// Blamer names the part of the message that needs the lowest of these versions.
	delivery.Blamer
	// fill puts a variant into a request.
	fill(r *carrier.Request, v *variant)
	// decode stores a reply in the value that result points to.
	decode(ctx context.Context, reply carrier.Reply, result any) error
}

// operation is one message on its way from the arguments to the result.
type operation struct {
	client *Client
	kind   *kind
	codec  codec
	// result points to the value for the result; nil for none.
	result any
	// failFast replaces the client's setting, if it is not nil.
	failFast *bool

	variant   variant
	fallbacks []variant
	// message is what delivery knows about the message. Request is what all its attempts have in
	// common.
	message delivery.Message
	request carrier.Request

	// reply came from an instance.
	reply carrier.Reply
	from  *route.Entry

	block idBlock
}

// deliverer delivers a message to its servers.
type deliverer interface {
	deliver(ctx context.Context) error
}

// run runs the operation from start to end. Errors are *rpc.Errors that name the message.
func (o *operation) run(ctx context.Context, d deliverer) error {
	if err := o.prepare(ctx); err != nil {
		return o.name(failure.NotStarted(err))
	}
	return o.timed(ctx, d)
}

// timed is run with the deadline of the operation.
func (o *operation) timed(ctx context.Context, d deliverer) error {
	begun := time.Now()
	s := &o.client.settings
	switch {
	case o.kind.timeout == 0:
		return waitedToBegin(ctx, begun, o.intercepted(ctx, d))
	case o.kind.patient && s.Backoff != nil && !s.HasTimeout:
		return s.Backoff().call(ctx, s.Target.Namespace, o.message.Method, func(ctx context.Context) error {
			return waited(ctx, begun, o.intercepted(ctx, d))
		})
	}
	ctx, limit := o.client.until(ctx, begun, o.kind.timeout)
	defer limit.End()
	return waited(ctx, begun, o.intercepted(ctx, d))
}

// waited adds to the error of an operation that gave up how long it waited.
func waited(ctx context.Context, begun time.Time, err error) error {
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || rpc.KindOf(err) == rpc.MonitorTimeout { // it says so itself
		return err
	}
	length := time.Since(begun)
	if deadline, has := ctx.Deadline(); has {
		length = min(length, deadline.Sub(begun))
	}
	return failure.With(err, func(e *rpc.Error) { e.Waited = max(length, 0) })
}

// waitedToBegin is [waited] for a delivery that bounds its parts. It cannot know how long a later
// part took.
func waitedToBegin(ctx context.Context, begun time.Time, err error) error {
	if !rpc.SafeToRetry(err) {
		return err
	}
	return waited(ctx, begun, err)
}

// isReusable reports whether nothing can refer to the operation after it returned err. Interceptors
// may keep what they got, and carriers may keep a message that failed.
func (o *operation) isReusable(err error) bool {
	t := o.client.transport
	return err == nil && len(t.sends) == 0 && len(t.attempts) == 0
}

// deliver takes the message to one instance, and reads the reply.
func (o *operation) deliver(ctx context.Context) error {
	if err := delivery.One(ctx, o.client.watched(), &o.message, o.send); err != nil {
		return err
	}
	if o.result == nil {
		return nil
	}
	return o.about(o.codec.decode(ctx, o.reply, o.result), o.from)
}

// send makes an attempt, and keeps the reply.
func (o *operation) send(ctx context.Context, a delivery.Attempt) (err error) {
	o.from = a.Entry
	o.reply, err = o.do(ctx, a)
	return err
}

// name adds the message to an error.
func (o *operation) name(err error) error {
	return failure.Name(err, o.message.Target, o.message.Method)
}

// about adds the message and the instance to an error.
func (o *operation) about(err error, e *route.Entry) error { return o.name(delivery.At(err, e)) }

// prepare checks and encodes the message, and decides at which versions it can be sent. It sends
// nothing yet.
func (o *operation) prepare(ctx context.Context) (err error) {
	c := o.client
	if o.kind.single != "" && c.settings.Target.Fanout {
		return o.noFanout()
	}
	if c.err != nil {
		return c.err
	}
	if err := c.transport.check(); err != nil {
		return err
	}
	if o.request.Context, err = c.contextText(ctx); err != nil {
		return err
	}
	if o.variant, o.fallbacks, err = o.codec.variants(ctx); err != nil {
		return err
	}
	if err := o.cap(); err != nil {
		return err
	}
	o.plan()
	o.address()
	return nil
}

func (o *operation) noFanout() error {
	return &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: o.kind.single + " cannot be used with fanout"}
}

// cap removes the variants that the version cap forbids.
func (o *operation) cap() error {
	limit := o.client.cap
	if len(o.fallbacks) == 0 && limit.Allows(o.variant.version) {
		return nil
	}
	var allowed []variant
	var versions []string
	for i := range 1 + len(o.fallbacks) {
		v := o.form(i)
		if limit.Allows(v.version) {
			allowed = append(allowed, *v)
		}
		versions = append(versions, v.version.String())
	}
	if len(allowed) > 0 {
		o.variant, o.fallbacks = allowed[0], allowed[1:]
		return nil
	}
	if o.request.Typed != nil {
		o.message.Target.Version = versions[len(versions)-1]
	}
	text := fmt.Sprintf("version %s is not within the cap %s: it must have the same major version and no later minor one",
		strings.Join(versions, " or "), limit)
	if blame := o.codec.Blame(); blame != "" {
		text = fmt.Sprintf("%s; the cap is %s", blame, limit)
	}
	return &rpc.Error{Kind: rpc.VersionCapExceeded, Message: text}
}

// form returns a variant of the message.
func (o *operation) form(i int) *variant {
	if i == 0 {
		return &o.variant
	}
	return &o.fallbacks[i-1]
}

// check returns an error if no carrier could carry the message. Variants for lower versions are
// smaller, so they need no check.
func (o *operation) check() error {
	for i := range 1 + len(o.fallbacks) {
		if i > 0 && o.request.Typed != nil {
			break
		}
		o.codec.fill(&o.request, o.form(i))
		if err := o.client.transport.config.Carrier.Check(&o.request); err != nil {
			return err
		}
	}
	return nil
}

// size returns the approximate size of the message in bytes.
func (o *operation) size() int {
	if t := o.request.Typed; t != nil {
		return proto.Size(t.Message)
	}
	n := 0
	for i := range 1 + len(o.fallbacks) {
		n = max(n, len(o.form(i).kwargs))
	}
	return n + len(o.request.Context)
}

// plan fills in what delivery needs to know.
func (o *operation) plan() {
	c, m := o.client, &o.message
	s := &c.settings
	m.Query, m.Auto, m.Blamer = o.query(o.variant.version), c.cap.IsAuto(), o.codec
	for i := range o.fallbacks {
		m.Fallbacks = append(m.Fallbacks, o.query(o.fallbacks[i].version))
	}
	m.Turn, m.Rounds, m.Cast = c.turn.Add(1), s.Retry+1, o.kind.mode == carrier.Cast
	m.FailFast = s.FailFast
	if o.failFast != nil {
		m.FailFast = *o.failFast
	}
	if o.request.Typed != nil {
		m.Target.Version = o.variant.target
	}
	if o.kind.monitored {
		m.Silence = max(s.Monitor, 0)
	}
}

// query returns what an instance must implement for a version. Servers that answer pings do not
// list the ping method among what they implement.
func (o *operation) query(version rpc.Version) route.Query {
	namespace := o.client.query.Namespace
	return route.Query{Namespace: namespace, Version: version, Anyone: discovery.IsPing(namespace, o.message.Method)}
}

// address fills in what all attempts have in common.
func (o *operation) address() {
	c, r := o.client, &o.request
	r.Target, r.Method, r.Mode = c.scope, o.message.Method, o.kind.mode
	r.OrderKey, r.Silence = c.settings.OrderKey, o.message.Silence
	if !o.kind.unnamed || r.OrderKey != "" {
		r.ID = c.transport.ids.next(&o.block)
	}
}
