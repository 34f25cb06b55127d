package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// l3Agent serves the routers that the server assigns to its host.
type l3Agent struct {
	*service

	plugin *neutronrpc.L3PluginAPI

	// mu guards the following fields. It is not held during calls to the server.
	mu      sync.Mutex
	order   *order
	routers map[string]neutronrpc.Router
}

func newL3Service(h *node) *service {
	a := &l3Agent{
		plugin:  neutronrpc.NewL3PluginAPI(h.transport, h.host, oslorpc.WithBackoff(h.backoff)),
		order:   newOrder(),
		routers: map[string]neutronrpc.Router{},
	}
	a.service = &service{
		node: h, name: "L3 agent", topic: neutronrpc.L3AgentTopic, endpoint: neutronrpc.L3Agent(a), sync: a.syncState,
		reports: h.newReports("L3 agent", "neutron-l3-agent", neutronrpc.L3AgentTopic, true),
	}
	return a.service
}

// routersAtATime bounds how many routers are requested with one call.
const routersAtATime = 256

// syncState reads which routers to serve, and then the routers.
func (a *l3Agent) syncState(ctx context.Context) (string, error) {
	asked := a.ask()
	all, err := a.read(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.order.answered()
	if err != nil {
		return "", err
	}
	for id := range a.routers {
		if _, still := all[id]; !still && a.order.settle(id, asked) {
			delete(a.routers, id)
		}
	}
	for id, r := range all {
		if a.order.settle(id, asked) {
			a.routers[id] = r
		}
	}
	return fmt.Sprintf("%d routers", len(all)), nil
}

// ask counts a request to the server, and returns its number.
func (a *l3Agent) ask() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.order.ask()
}

// read requests all routers.
func (a *l3Agent) read(ctx context.Context) (map[string]neutronrpc.Router, error) {
	ids, err := a.plugin.GetRouterIDs(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]neutronrpc.Router{}
	for some := range slices.Chunk(ids, routersAtATime) {
		routers, err := a.plugin.GetRouters(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, r := range routers {
			all[r.ID] = r
		}
	}
	return all, nil
}

// refresh reads routers. Routers that are missing in the answer no longer belong to this agent.
func (a *l3Agent) refresh(ctx context.Context, ids []string) error {
	asked := a.ask()
	routers, err := a.plugin.GetRouters(ctx, ids)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.order.answered()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !a.order.settle(id, asked) {
			continue
		}
		delete(a.routers, id)
		if n := slices.IndexFunc(routers, func(r neutronrpc.Router) bool { return r.ID == id }); n >= 0 {
			a.routers[id] = routers[n]
			a.sayf("serves router %s%s", routers[n].Name, gateways(routers[n]))
		}
	}
	return nil
}

// gateways returns the addresses of a router, for people.
func gateways(r neutronrpc.Router) string {
	if len(r.Interfaces) == 0 {
		return ""
	}
	return " at " + addresses(r.Interfaces...)
}

// remove stops serving a router.
func (a *l3Agent) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.order.told(id)
	if r, known := a.routers[id]; known {
		delete(a.routers, id)
		a.sayf("no longer serves router %s", r.Name)
	}
}

// AgentUpdated announces whether the agent is enabled.
func (a *l3Agent) AgentUpdated(context.Context, neutronrpc.AgentUpdatedArgs) error {
	a.request("it was enabled or disabled")
	return nil
}

// RouterDeleted announces that a router was deleted.
func (a *l3Agent) RouterDeleted(_ context.Context, args neutronrpc.RouterArgs) error {
	a.remove(args.RouterID)
	return nil
}

// RouterRemovedFromAgent announces that other agents serve a router now.
func (a *l3Agent) RouterRemovedFromAgent(_ context.Context, args neutronrpc.RouterRemovedArgs) error {
	a.remove(args.Payload.RouterID)
	return nil
}

// RoutersUpdated announces that routers have changed. It is a cast, so a failure concerns only the
// agent.
func (a *l3Agent) RoutersUpdated(ctx context.Context, args neutronrpc.RoutersArgs) error {
	if err := a.refresh(ctx, args.Routers); err != nil && !errors.Is(err, oslorpc.Canceled) {
		slog.ErrorContext(ctx, "asking for routers failed", "routers", args.Routers, "error", err)
		a.request("a change of routers failed")
	}
	return nil
}

// RouterAddedToAgent assigns routers to the agent. It is a call: after a failure, the server
// selects another agent.
func (a *l3Agent) RouterAddedToAgent(ctx context.Context, args neutronrpc.RoutersAddedArgs) error {
	return a.refresh(ctx, args.Payload)
}

// AddArpEntry announces an address.
func (a *l3Agent) AddArpEntry(_ context.Context, args neutronrpc.ArpArgs) error {
	a.sayf("adds address %s", args.Payload.ArpTable.IPAddress)
	return nil
}

// DelArpEntry announces that an address was removed.
func (a *l3Agent) DelArpEntry(_ context.Context, args neutronrpc.ArpArgs) error {
	a.sayf("removes address %s", args.Payload.ArpTable.IPAddress)
	return nil
}

// NetworkUpdate announces that a network has changed, which may change the routers with an address
// on it.
func (a *l3Agent) NetworkUpdate(ctx context.Context, args neutronrpc.NetworkUpdateArgs) error {
	if ids := a.routersOn(args.Network.ID); len(ids) > 0 {
		return a.RoutersUpdated(ctx, neutronrpc.RoutersArgs{Routers: ids})
	}
	return nil
}

// routersOn returns the routers with an address on a network.
func (a *l3Agent) routersOn(networkID string) (ids []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, r := range a.routers {
		if slices.ContainsFunc(r.Interfaces, func(p neutronrpc.Port) bool { return p.NetworkID == networkID }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// FipnamespaceDeleteOnExtNet announces that an external network has no more floating IPs.
func (a *l3Agent) FipnamespaceDeleteOnExtNet(_ context.Context, args neutronrpc.ExtNetArgs) error {
	a.sayf("removes what it has for floating IPs on network %s", args.ExtNetID)
	return nil
}
