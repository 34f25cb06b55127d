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

	// mu guards what follows. It is not held while the server is asked.
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

// syncState reads which routers to count for.
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

// readOften has everything read now and then, as Neutron's does: no message tells the agent of
// routers that come to its host, or leave it.
func (a *meteringAgent) readOften(ctx context.Context) {
	a.often(ctx, func() { a.request("time passed") })
}

// RouterDeleted tells that a router is gone.
func (a *meteringAgent) RouterDeleted(_ context.Context, args neutronrpc.RouterArgs) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.order.told(args.RouterID)
	delete(a.routers, args.RouterID)
	return nil
}

// RoutersUpdated takes in routers as they are now. All messages about labels have whole routers, so
// they do the same.
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

// UpdateMeteringLabelRules tells that rules have changed.
func (a *meteringAgent) UpdateMeteringLabelRules(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// AddMeteringLabelRule tells of a rule.
func (a *meteringAgent) AddMeteringLabelRule(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// RemoveMeteringLabelRule tells that a rule is gone.
func (a *meteringAgent) RemoveMeteringLabelRule(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// AddMeteringLabel tells of a label.
func (a *meteringAgent) AddMeteringLabel(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}

// RemoveMeteringLabel tells that a label is gone.
func (a *meteringAgent) RemoveMeteringLabel(ctx context.Context, args neutronrpc.MeteringArgs) error {
	return a.RoutersUpdated(ctx, args)
}
