package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// meteringAgent counts the traffic of the routers on its host.
type meteringAgent struct {
	*service

	plugin *neutronrpc.MeteringPluginRPC

	// mu guards the following fields. It is not held during calls to the server.
	mu      sync.Mutex
	order   *order
	routers map[string]neutronrpc.Router
}

func newMeteringService(h *node) *service {
	a := &meteringAgent{
		plugin:  neutronrpc.NewMeteringPluginRPC(h.transport, h.host, oslorpc.WithBackoff(h.backoff)),
		order:   newOrder(),
		routers: map[string]neutronrpc.Router{},
	}
	a.service = &service{
		node: h, name: "metering agent", topic: neutronrpc.MeteringAgentTopic, endpoint: neutronrpc.MeteringAgent(a), sync: a.syncState,
		reports: h.newReports("Metering agent", "neutron-metering-agent", neutronrpc.MeteringAgentTopic, false), work: a.readOften,
	}
	return a.service
}

// syncState reads for which routers to count.
func (a *meteringAgent) syncState(ctx context.Context) (string, error) {
	a.mu.Lock()
	asked := a.order.ask()
	a.mu.Unlock()
	routers, ok := a.plugin.GetSyncDataMetering(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.order.answered()
	if !ok {
		return "", errors.New("the server did not answer")
	}
	before := a.routers
	a.routers = map[string]neutronrpc.Router{}
	for _, r := range routers {
		if a.order.settle(r.ID, asked) {
			a.routers[r.ID] = r
		}
	}
	for id, r := range before {
		if !a.order.settle(id, asked) { // something came about it in the meantime
			a.routers[id] = r
		}
	}
	return fmt.Sprintf("%d routers", len(routers)), nil
}

// readOften regularly makes the agent read everything, as in Neutron, because no message tells the
// agent when a router comes to its host, or leaves.
func (a *meteringAgent) readOften(ctx context.Context) {
	a.often(ctx, func() { a.request("time passed") })
}

// RouterDeleted announces that a router was deleted.
func (a *meteringAgent) RouterDeleted(_ context.Context, args neutronrpc.RouterArgs) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.order.told(args.RouterID)
	delete(a.routers, args.RouterID)
	return nil
}

// RoutersUpdated has the current state of routers. All messages about labels contain whole routers,
// so they are handled in the same way.
func (a *meteringAgent) RoutersUpdated(_ context.Context, args neutronrpc.MeteringArgs) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range args.Routers {
		if a.routers[r.ID].RevisionNumber > r.RevisionNumber {
			continue // it is late
		}
		a.order.told(r.ID)
		a.routers[r.ID] = r
		a.sayf("meters router %s, with %d labels", r.Name, len(r.MeteringLabels))
	}
	return nil
}

// UpdateMeteringLabelRules announces that rules have changed.
func (a *meteringAgent) UpdateMeteringLabelRules(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// AddMeteringLabelRule announces a rule.
func (a *meteringAgent) AddMeteringLabelRule(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// RemoveMeteringLabelRule announces that a rule was removed.
func (a *meteringAgent) RemoveMeteringLabelRule(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// AddMeteringLabel announces a label.
func (a *meteringAgent) AddMeteringLabel(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// RemoveMeteringLabel announces that a label was removed.
func (a *meteringAgent) RemoveMeteringLabel(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}
