package client

import (
	"cmp"
	"context"
	"hash/maphash"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxTopics bounds the topics that are watched because forwarded messages name them.
const maxTopics = 4096

// turns are the round robins of forwarded messages. Receivers share them by a hash, because there
// may be any number of receivers.
type turns struct {
	seed  maphash.Seed
	turns [256]atomic.Uint64
}

func (t *turns) next(target *rpc.Target) uint64 {
	h := maphash.Comparable(t.seed, [3]string{target.Exchange, target.Topic, target.Server})
	return t.turns[h%uint64(len(t.turns))].Add(1)
}

// forwarding is a message of another process that is passed on unchanged. It is neither encoded nor
// decoded, and the interceptors and version caps of this process do not apply to it.
type forwarding struct {
	transport *Transport
	request   *carrier.Request
	message   delivery.Message
	topic     *fleet.Topic

	reply  carrier.Reply
	stream carrier.Stream
	from   *route.Entry
}

// Forward passes a message on. If the message names an instance, it is sent once, to that instance.
// Otherwise it goes to a server of its target, like a message of this process. The exchange of the
// target is not empty.
func (t *Transport) Forward(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	f, err := t.forwarding(r)
	if err != nil {
		return carrier.Reply{}, err
	}
	err = f.deliver(ctx, func(ctx context.Context, a delivery.Attempt) (err error) {
		f.reply, err = a.Entry.Link.Do(ctx, f.requestFor(a))
		return err
	})
	return f.reply, err
}

// Begin is Forward for a message with an instance, without a goroutine that waits for the answer: w
// gets it. Begin returns nil, and sends nothing, if it would have to wait.
func (t *Transport) Begin(ctx context.Context, r *carrier.Request, w carrier.Waiter) carrier.Begun {
	f, err := t.forwarding(r)
	if err != nil {
		return nil
	}
	return delivery.Begin(ctx, f.topic, &f.message, r.InstanceID, f.requestFor, w)
}

// ForwardStream is Forward for a message with several parts. The entry is the instance at the other
// end of the stream.
func (t *Transport) ForwardStream(ctx context.Context, r *carrier.Request) (carrier.Stream, *route.Entry, error) {
	f, err := t.forwarding(r)
	if err != nil {
		return nil, nil, err
	}
	err = f.deliver(ctx, func(ctx context.Context, a delivery.Attempt) (err error) {
		f.from = a.Entry
		f.stream, err = a.Entry.Link.Open(ctx, f.requestFor(a))
		return err
	})
	return f.stream, f.from, err
}

// ForwardAll passes a copy of a dynamic message on to each server of its target, and calls each
// with the outcome at each server, never concurrently.
func (t *Transport) ForwardAll(ctx context.Context, r *carrier.Request, each func(delivery.Answer[carrier.Reply])) error {
	f, err := t.forwarding(r)
	if err != nil {
		return err
	}
	audience, err := delivery.AudienceOf(ctx, f.topic, &f.message)
	if err != nil {
		return err
	}
	named := func(e *route.Entry) bool { return r.Target.Server == "" || r.Target.Server == e.Server }
	audience.Keep(named)
	for _, other := range audience.Others {
		each(delivery.Answer[carrier.Reply]{Result: other})
	}
	answers := delivery.Gather(ctx, audience, func(ctx context.Context, a delivery.Attempt) (carrier.Reply, error) {
		return a.Entry.Link.Do(ctx, f.addressed(a))
	})
	for a := range answers {
		if r.Mode != carrier.Cast || !audience.IsGone(a.Result) {
			each(a)
		}
	}
	if audience.Uncertain != nil {
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Cause: audience.Uncertain, Message: "there may be other servers: " + failure.Text(audience.Uncertain)}
	}
	return nil
}

// Expect starts to watch a topic for which messages are likely to come, if there is room for
// another topic.
func (t *Transport) Expect(name registry.Topic) {
	if topic, watched := t.fleet.Known(name); topic == nil && watched < maxTopics {
		t.fleet.Topic(name)
	}
}

// Describe asks the process of an instance to describe itself. It returns the answer as a protobuf
// message.
func (t *Transport) Describe(ctx context.Context, i rpc.Instance, requests bool) (info proto.Message, err error) {
	err = t.ask(ctx, i, func(ctx context.Context, link carrier.Link) error {
		info, err = link.(carrier.Describer).Describe(ctx, meant(i), i.ID, requests)
		return err
	})
	return info, err
}

// Instance returns an instance of a watched topic. It returns false if the instance is not known.
func (t *Transport) Instance(id string) (rpc.Instance, bool) {
	if e := t.fleet.Find(id); e != nil {
		return e.Instance, true
	}
	return rpc.Instance{}, false
}

func (t *Transport) forwarding(r *carrier.Request) (*forwarding, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	version, err := rpc.VersionOrDefault(r.Target.Version)
	if err != nil {
		return nil, &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: err.Error()}
	}
	name := registry.Topic{Exchange: r.Target.Exchange, Name: r.Target.Topic}
	topic, watched := t.fleet.Known(name)
	if topic == nil {
		if watched >= maxTopics {
			full := refusal.New(refusal.Full)
			full.Message = "this process watches as many topics as it may: topics that are not used are forgotten in some minutes"
			return nil, full
		}
		topic = t.fleet.Topic(name)
	}
	if err := t.config.Carrier.Check(r); err != nil {
		return nil, err
	}
	f := &forwarding{transport: t, request: r, topic: topic}
	f.message = delivery.Message{
		Target: r.Target, Method: r.Method, Turn: t.turns.next(&r.Target), Cast: r.Mode == carrier.Cast, Silence: r.Silence,
		Size: len(r.Kwargs) + len(r.Context),
		// Only the service knows which version of which namespace a message of a typed service needs.
		Query: route.Query{
			Namespace: r.Target.Namespace, Version: version, Anyone: r.Typed != nil || discovery.IsPing(r.Target.Namespace, r.Method),
		},
		Unanswered: r.Typed != nil && r.Typed.ClientStreams || r.InstanceID != "",
	}
	return f, nil
}

// deliver delivers the message. A message without a deadline looks for a server for the default
// timeout of a call.
func (f *forwarding) deliver(ctx context.Context, send delivery.Send) error {
	if _, bounded := ctx.Deadline(); !bounded && f.message.Silence == 0 {
		f.message.Silence = DefaultCallTimeout
	}
	if id := f.request.InstanceID; id != "" {
		return delivery.Exactly(ctx, f.topic, &f.message, id, send)
	}
	return delivery.One(ctx, f.topic, &f.message, send)
}

// requestFor returns the request of an attempt.
func (f *forwarding) requestFor(a delivery.Attempt) *carrier.Request {
	if f.request.InstanceID == "" {
		return f.addressed(a)
	}
	f.request.Meant = meant(a.Entry.Instance)
	return f.request // there is only one attempt
}

// addressed returns a copy of the request for one instance.
func (f *forwarding) addressed(a delivery.Attempt) *carrier.Request {
	r, e := *f.request, a.Entry
	r.InstanceID, r.Missed, r.Meant = e.ID, a.Missed, meant(e.Instance)
	if e.ID == "" { // the process at a static address could not tell which of its servers is meant
		r.Target.Server = cmp.Or(r.Target.Server, e.Server)
	}
	return &r
}
