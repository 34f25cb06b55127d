package gateway

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxWatches bounds the watches of clients: one for each client and topic.
const maxWatches = 16384

// List implements [intake.Forwarder].
func (g *Gateway) List(ctx context.Context) ([]rpc.Instance, error) {
	return g.registry.List(ctx)
}

// Watch implements [intake.Forwarder]. The gateway also begins to watch the topic itself, because
// messages for it may follow.
func (g *Gateway) Watch(topic registry.Topic, notify func(registry.Update)) (stop func(), err error) {
	if g.watches.Add(1) > maxWatches {
		g.watches.Add(-1)
		full := refusal.New(refusal.Full)
		full.Message = fmt.Sprintf("the gateway has %d watches of topics, and takes no more", maxWatches)
		return nil, full
	}
	g.clients.Expect(topic)
	end := g.registry.Watch(topic, notify)
	return func() {
		end()
		g.watches.Add(-1)
	}, nil
}

// Counts implements [intake.Forwarder].
func (g *Gateway) Counts() intake.Counts {
	g.mu.Lock()
	c := intake.Counts{Forwarding: int64(g.running)}
	g.mu.Unlock()
	c.Forwarded, c.Failed, c.Watches = g.forwarded.Load(), g.failed.Load(), g.watches.Load()
	if g.attached != nil {
		c.Attached = int64(len(g.attached.List()))
	}
	return c
}

// Ping implements [intake.Forwarder].
func (g *Gateway) Ping(ctx context.Context, q *intake.Inspection) error {
	i, err := g.instance(ctx, q.InstanceID)
	if err != nil {
		return err
	}
	_, err = g.clients.Ping(ctx, i)
	return err
}

// Info implements [intake.Forwarder].
func (g *Gateway) Info(ctx context.Context, q *intake.Inspection) (proto.Message, error) {
	i, err := g.instance(ctx, q.InstanceID)
	if err != nil {
		return nil, err
	}
	return g.clients.Describe(ctx, i, q.Requests)
}

// instance returns the instance with an id. If it is on no watched topic, instance lists all
// instances in discovery.
func (g *Gateway) instance(ctx context.Context, id string) (rpc.Instance, error) {
	if i, ok := g.known(id); ok {
		return i, nil
	}
	list, err := g.registry.List(ctx)
	if err != nil {
		return rpc.Instance{}, err
	}
	for _, i := range list {
		if i.ID == id {
			return i, nil
		}
	}
	return rpc.Instance{}, gone(id)
}

// gone returns the error about an unknown instance. The error does not say that the instance has
// stopped: discovery may not list it yet.
func gone(id string) *rpc.Error {
	e := refusal.New(refusal.Declined)
	e.Message = fmt.Sprintf("the gateway does not know the instance %.80q, or the instance has left", id)
	return e
}
