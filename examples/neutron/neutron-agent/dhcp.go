package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// dhcpAgent serves DHCP on the networks that the server gives to its host. It asks for a network whenever it is told of a change to it, so
// that it does not matter in which order messages come, or whether one comes twice. Those about ports have the ports themselves: there,
// revision numbers tell which is newer, and the agent remembers what was deleted.
type dhcpAgent struct {
	*service

	plugin *neutronrpc.DhcpPluginAPI
	queue  *queue

	// mu is held while an update is handled or everything is read.
	mu       sync.Mutex
	networks map[string]neutronrpc.Network
	// deleted are the ids of ports that are gone for good, should an older message about one come later, and when they went.
	deleted map[string]time.Time
	// ready are the ids of ports that are served and of which the server was not told.
	ready map[string]bool
}

func newDhcpService(h *node) *service {
	a := &dhcpAgent{
		plugin: neutronrpc.NewDhcpPluginAPI(h.transport, h.host, oslorpc.WithBackoff(h.backoff)), queue: newQueue(),
		networks: map[string]neutronrpc.Network{}, deleted: map[string]time.Time{}, ready: map[string]bool{},
	}
	a.service = &service{
		node: h, name: "DHCP agent", topic: neutronrpc.DhcpAgentTopic, endpoint: neutronrpc.DhcpAgent(a), sync: a.syncState,
		reports: h.newReports("DHCP agent", "neutron-dhcp-agent", neutronrpc.DhcpAgentTopic, true), work: a.work,
	}
	return a.service
}

// syncState reads which networks to serve, and serves those and no others. One that cannot be served does not keep it from the others.
func (a *dhcpAgent) syncState(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.queue.wake() // the server has to be told of ports that are ready now
	networks, err := a.plugin.GetActiveNetworksInfo(ctx, false)
	if err != nil {
		return "", err
	}
	gone := maps.Clone(a.networks)
	var failures []error
	for _, n := range networks {
		delete(gone, n.ID)
		failures = append(failures, a.enable(ctx, n))
	}
	for id := range gone {
		a.disable(ctx, id)
	}
	return fmt.Sprintf("%d networks", len(networks)), errors.Join(failures...)
}

// work handles updates, one after the other, until ctx ends.
func (a *dhcpAgent) work(ctx context.Context) {
	for {
		if u, ok := a.queue.next(); ok {
			a.handle(ctx, u)
			continue
		}
		var again <-chan time.Time
		if !a.tellReady(ctx) {
			again = time.After(readyPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.queue.changed:
		case <-again:
		}
	}
}

// handle does what an update asks for. If that fails, the agent no longer knows how its networks are, and reads everything.
func (a *dhcpAgent) handle(ctx context.Context, u update) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := u.handle(ctx, u)
	var noNetwork *neutronrpc.NetworkNotFound
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &noNetwork):
		slog.DebugContext(ctx, "the network was deleted in the meantime", "network", u.networkID)
	default:
		a.request(fmt.Sprintf("a change of network %s failed: %v", u.networkID, err))
	}
}

// refresh asks for a network and serves it as it is now.
func (a *dhcpAgent) refresh(ctx context.Context, u update) error {
	n, err := a.plugin.GetNetworkInfo(ctx, u.networkID)
	if err != nil {
		return err
	}
	if n == nil {
		a.disable(ctx, u.networkID)
		return nil
	}
	return a.enable(ctx, *n)
}

// enable serves a network: it gets an address on it, if it has none, and is ready for its ports.
func (a *dhcpAgent) enable(ctx context.Context, n neutronrpc.Network) error {
	if !n.AdminStateUp.Or(true) || len(n.Subnets) == 0 {
		a.disable(ctx, n.ID)
		return nil
	}
	port, err := a.ownPort(ctx, n)
	var full *neutronrpc.IPAddressGenerationFailure
	switch {
	case errors.As(err, &full):
		a.sayf("cannot serve network %s: %v", n.Name, full)
		return nil // until the network changes, another attempt fails as well
	case err != nil:
		return err
	case port == nil:
		a.disable(ctx, n.ID)
		return nil
	}
	if _, known := a.networks[n.ID]; !known {
		a.sayf("serves network %s at %s", n.Name, addresses(*port))
	}
	ports := n.Ports
	n.Ports = nil
	a.networks[n.ID] = n
	for _, p := range append(ports, *port) {
		a.serve(n.ID, p)
	}
	return nil
}

// ownPort returns the port of this host's DHCP server on a network: the one that is there, or a new one; nil if the network is gone.
func (a *dhcpAgent) ownPort(ctx context.Context, n neutronrpc.Network) (*neutronrpc.Port, error) {
	id := a.deviceID(n.ID)
	for _, p := range n.Ports {
		if p.DeviceID == id {
			return &p, nil
		}
	}
	return a.plugin.CreateDhcpPort(ctx, neutronrpc.Port{NetworkID: n.ID, DeviceID: id})
}

// disable serves a network no longer.
func (a *dhcpAgent) disable(ctx context.Context, networkID string) {
	n, known := a.networks[networkID]
	if !known {
		return
	}
	delete(a.networks, networkID)
	a.sayf("no longer serves network %s", n.Name)
	if err := a.plugin.ReleaseDhcpPort(ctx, networkID, a.deviceID(networkID)); err != nil {
		slog.ErrorContext(ctx, "the port of the DHCP server stays", "network", n.Name, "error", err)
	}
}

// deviceID names the DHCP server of this host on a network.
func (a *dhcpAgent) deviceID(networkID string) string { return "dhcp-" + a.host + "-" + networkID }

// addresses returns the addresses of ports, for people.
func addresses(ports ...neutronrpc.Port) string {
	var all []string
	for _, p := range ports {
		for _, ip := range p.FixedIPs {
			all = append(all, ip.IPAddress)
		}
	}
	return strings.Join(all, ", ")
}

// serve serves a port of a network that the agent serves; false if it is known to be gone, or to have changed since. One that is active
// was served before.
func (a *dhcpAgent) serve(networkID string, p neutronrpc.Port) bool {
	n := a.networks[networkID]
	known := slices.IndexFunc(n.Ports, func(k neutronrpc.Port) bool { return k.ID == p.ID })
	switch _, deleted := a.deleted[p.ID]; {
	case deleted, known >= 0 && n.Ports[known].RevisionNumber > p.RevisionNumber:
		return false
	case known >= 0:
		n.Ports[known] = p
	default:
		n.Ports = append(n.Ports, p)
	}
	a.networks[networkID] = n
	if p.Status != "ACTIVE" {
		a.ready[p.ID] = true
	}
	return true
}

// remembered is how long the agent remembers which ports were deleted. No message about one takes that long.
const remembered = 24 * time.Hour

// forget serves a port no longer.
func (a *dhcpAgent) forget(networkID, portID string) {
	if n, known := a.networks[networkID]; known {
		n.Ports = slices.DeleteFunc(n.Ports, func(p neutronrpc.Port) bool { return p.ID == portID })
		a.networks[networkID] = n
	}
	delete(a.ready, portID)
	maps.DeleteFunc(a.deleted, func(_ string, went time.Time) bool { return time.Since(went) > remembered })
	a.deleted[portID] = time.Now()
}

const (
	// readyBatch is how many ports the server is told of at a time, and readyPause what follows a failure.
	readyBatch = 64
	readyPause = 200 * time.Millisecond
)

// tellReady tells the server which ports are served; false if it has to be told again.
func (a *dhcpAgent) tellReady(ctx context.Context) bool {
	for {
		a.mu.Lock()
		ids := slices.Sorted(maps.Keys(a.ready))
		a.mu.Unlock()
		if len(ids) == 0 {
			return true
		}
		ids = ids[:min(len(ids), readyBatch)]
		if err := a.plugin.DhcpReadyOnPorts(ctx, ids); err != nil {
			if !errors.Is(err, oslorpc.Canceled) {
				slog.ErrorContext(ctx, "the server was not told which ports are ready", "error", err)
			}
			return false
		}
		a.mu.Lock()
		for _, id := range ids {
			delete(a.ready, id)
		}
		a.mu.Unlock()
	}
}
