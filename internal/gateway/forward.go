package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/gateway/attached"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Meant implements [intake.Forwarder].
func (g *Gateway) Meant(m *intake.Message) (rpc.Instance, error) {
	meant := rpc.Instance{Exchange: cmp.Or(m.Target.Exchange, g.exchange), Topic: m.Target.Topic, Server: m.Target.Server}
	if m.InstanceID != "" {
		if known, ok := g.known(m.InstanceID); ok && agrees(m, known) {
			meant = known
		}
	}
	if meant.Topic == "" {
		return meant, errNoTopic(m)
	}
	return meant, g.loops(m, &meant)
}

// loops returns an error for a message that gateways forward in a circle. A gateway forwards a
// message of another gateway only if the receiver is attached to it, and never a message that it
// forwarded before.
func (g *Gateway) loops(m *intake.Message, meant *rpc.Instance) error {
	if len(m.Gateways) == 0 {
		return nil
	}
	here, last := g.intake.BootID(), m.Gateways[len(m.Gateways)-1]
	why := "gateway %.40q forwarded the message to gateway %q, which has no such server attached to it"
	if slices.Contains(m.Gateways, here) {
		why = "gateway %.40q forwarded the message back to gateway %q, which forwarded it before"
	} else if m.InstanceID != "" && meant.ID == m.InstanceID && attached.IsAddr(meant.Addr) {
		return nil
	}
	e := refusal.New(refusal.Misdirected)
	e.Message = fmt.Sprintf(why+": let gateways find servers by the registry, and not by each other", last, here)
	return e
}

// agrees reports whether the names in a message, as far as it has them, match an instance.
func agrees(m *intake.Message, i rpc.Instance) bool {
	t := &m.Target
	return (t.Topic == "" || t.Topic == i.Topic) && (t.Exchange == "" || t.Exchange == i.Exchange) && (t.Server == "" || t.Server == i.Server)
}

// errNoTopic returns the error for a typed message whose headers name no topic.
func errNoTopic(m *intake.Message) error {
	e := &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: "a gateway does not know on which topic the service " + m.Typed.Service +
		" is: send the header oslorpc-topic, or oslorpc-instance with the id of an instance that is listed"}
	if m.InstanceID != "" { // the sender has the id from discovery, so the instance existed
		return gone(m.InstanceID)
	}
	return e
}

// request returns the request for forwarding a message.
func (g *Gateway) request(m *intake.Message, mode carrier.Mode) *carrier.Request {
	r := &carrier.Request{
		Target: m.Target, Method: m.Method, Mode: mode, ID: m.ID, InstanceID: m.InstanceID, OrderKey: m.OrderKey,
		Context: m.Context, Kwargs: cmp.Or(m.Kwargs, "{}"), Metadata: m.Origin.Metadata(),
	}
	r.Target.Exchange, r.Target.Topic = m.Instance.Exchange, m.Instance.Topic
	r.Caller = g.caller(m)
	if m.Missed != nil && m.InstanceID != "" {
		r.Missed = *m.Missed
	}
	if m.Monitored {
		r.Silence = 2 * m.Heartbeat // carriers ask for heartbeats at half this interval
	}
	if len(r.Metadata) == 0 {
		r.Metadata = nil
	}
	if m.HasVersion {
		r.Target.Version = m.Version.String()
	}
	return r
}

// pass forwards a message that has exactly one answer.
func (g *Gateway) pass(ctx context.Context, r *carrier.Request) (reply carrier.Reply, err error) {
	if err := g.enter(); err != nil {
		return carrier.Reply{}, err
	}
	defer func() { g.exit(err) }()
	return g.clients.Forward(ctx, r)
}

// Call implements [intake.Forwarder].
func (g *Gateway) Call(ctx context.Context, m *intake.Message) (result string, err error) {
	reply, err := g.pass(ctx, g.request(m, carrier.Call))
	return cmp.Or(reply.Result, "null"), err
}

// castTime bounds how long a cast looks for a server that accepts it, if its sender sets no
// deadline.
const castTime = 30 * time.Second

// Cast implements [intake.Forwarder].
func (g *Gateway) Cast(ctx context.Context, m *intake.Message) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, castTime)
		defer cancel()
	}
	_, err := g.pass(ctx, g.request(m, carrier.Cast))
	return err
}

// Multicall implements [intake.Forwarder].
func (g *Gateway) Multicall(ctx context.Context, m *intake.Message, emit func(item string) error) (err error) {
	if err := g.enter(); err != nil {
		return err
	}
	defer func() { g.exit(err) }()
	stream, _, err := g.clients.ForwardStream(ctx, g.request(m, carrier.Multicall))
	if err != nil {
		return err
	}
	defer stream.Close(nil)
	for {
		var item string
		switch err := stream.Receive(&item); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := emit(item); err != nil {
			return err
		}
	}
}

// Fanout implements [intake.Forwarder].
func (g *Gateway) Fanout(ctx context.Context, m *intake.Message, each func(intake.Copy) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, castTime)
		defer cancel()
	}
	return g.toAll(ctx, g.request(m, carrier.Cast), each)
}

// Gather implements [intake.Forwarder].
func (g *Gateway) Gather(ctx context.Context, m *intake.Message, each func(intake.Copy) error) error {
	return g.toAll(ctx, g.request(m, carrier.Call), each)
}

func (g *Gateway) toAll(ctx context.Context, r *carrier.Request, each func(intake.Copy) error) (err error) {
	if err := g.enter(); err != nil {
		return err
	}
	defer func() { g.exit(err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var broken error // the error of each; later outcomes are awaited, but not passed on
	err = g.clients.ForwardAll(ctx, r, func(a delivery.Answer[carrier.Reply]) {
		if broken == nil {
			of := intake.Copy{Instance: a.Entry.Instance, Result: cmp.Or(a.Value.Result, "null"), Skipped: a.Skipped, Err: a.Err}
			if broken = each(of); broken != nil {
				cancel()
			}
		}
	})
	return cmp.Or(broken, err)
}

// Invoke implements [intake.Forwarder].
func (g *Gateway) Invoke(ctx context.Context, m *intake.Message, request proto.Message) (proto.Message, error) {
	r, reply := g.request(m, carrier.Call), newRaw()
	r.Kwargs, r.Typed = "", &carrier.Typed{Path: m.Path(), Message: request, Result: reply}
	_, err := g.pass(ctx, r)
	return reply, err
}
