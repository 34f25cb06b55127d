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

// workers is how many networks the agent changes concurrently.
const workers = 8

// dhcpAgent serves DHCP on the networks that the server assigns to its host. After a message about
// a change, it asks for the current state of the network, so the order of messages and repeated
// messages do not matter. Messages about ports contain the ports themselves. There, revision
// numbers tell which state is newer, and the agent remembers deleted ports.
//
// All work on a network goes through the queue, so that only one goroutine works on the network at
// a time. The agent holds no lock while it waits for the server: a call that hangs stops one
// network, and not the others.
type dhcpAgent struct {
	*service

	plugin *neutronrpc.DhcpPluginAPI
	queue  *queue

	// mu guards the following fields. It is not held during calls to the server.
	mu       sync.Mutex
	networks map[string]neutronrpc.Network
	// changes counts the handled updates. Changed has the count at which each network last changed:
	// state that was read before that is old.
	changes int
	changed map[string]int
	// deleted has the ids of deleted ports, with the times of their deletion, in case an older
	// message about one comes later.
	deleted map[string]time.Time
	// ready has the ids of ports that are served, but not yet reported to the server.
	ready map[string]bool
	// tell is signaled when ready gets ports. One buffered signal is enough.
	tell chan struct{}
}

func newDhcpService(h *node) *service {
	a := &dhcpAgent{
		plugin: neutronrpc.NewDhcpPluginAPI(h.transport, h.host, oslorpc.WithBackoff(h.backoff)), queue: newQueue(),
		networks: map[string]neutronrpc.Network{}, changed: map[string]int{}, deleted: map[string]time.Time{}, ready: map[string]bool{},
		tell: make(chan struct{}, 1),
	}
	a.service = &service{
		node: h, name: "DHCP agent", topic: neutronrpc.DhcpAgentTopic, endpoint: neutronrpc.DhcpAgent(a), sync: a.syncState,
		reports: h.newReports("DHCP agent", "neutron-dhcp-agent", neutronrpc.DhcpAgentTopic, true), work: a.work,
	}
	return a.service
}

// syncState reads which networks to serve, and serves exactly those. If one cannot be served, it
// still serves the others.
func (a *dhcpAgent) syncState(ctx context.Context) (string, error) {
	served, since := a.beforeReading()
	networks, err := a.plugin.GetActiveNetworksInfo(ctx, false)
	if err != nil {
		return "", err
	}
	results := make(chan error, len(networks)+len(served)) // with room for all: the receiver may have left
	waiting := 0
	for _, n := range networks {
		delete(served, n.ID)
		waiting++
		a.inTurn(n.ID, since, results, func(ctx context.Context) error { return a.enable(ctx, n) })
	}
	for id := range served {
		waiting++
		a.inTurn(id, since, results, func(ctx context.Context) error {
			a.disable(ctx, id)
			return nil
		})
	}
	var failures []error
	for range waiting {
		select {
		case err := <-results:
			failures = append(failures, err)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return fmt.Sprintf("%d networks", len(networks)), errors.Join(failures...)
}

// inTurn runs work on a network when its turn comes, and sends the result. If the network has
// changed since then, the state that was read is old, and inTurn asks for the current state.
func (a *dhcpAgent) inTurn(networkID string, since int, results chan<- error, do func(context.Context) error) {
	a.queue.add(update{networkID: networkID, handle: func(ctx context.Context, u update) error {
		if a.changedSince(networkID, since) {
			results <- a.refresh(ctx, u)
		} else {
			results <- do(ctx)
		}
		return nil // the caller reads everything again after a failure
	}})
}

// beforeReading returns the networks that are served before everything is read, and the current
// count of changes.
func (a *dhcpAgent) beforeReading() (served map[string]neutronrpc.Network, since int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.changed) // only one goroutine reads everything at a time, so no earlier reading needs these changes
	return maps.Clone(a.networks), a.changes
}

// changedSince reports whether an update of a network was handled since the count of changes was
// since.
func (a *dhcpAgent) changedSince(networkID string, since int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed[networkID] > since
}

// work handles updates, several at a time, and reports ready ports to the server, until ctx ends.
func (a *dhcpAgent) work(ctx context.Context) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for u, ok := a.queue.take(ctx); ok; u, ok = a.queue.take(ctx) {
				a.handle(ctx, u)
				a.queue.done(u)
			}
		})
	}
	a.tellOften(ctx)
	working.Wait()
}

// handle handles an update. If that fails, the state of the network is unknown, so the agent reads
// everything again.
func (a *dhcpAgent) handle(ctx context.Context, u update) {
	err := u.handle(ctx, u)
	a.mu.Lock()
	a.changes++
	a.changed[u.networkID] = a.changes
	a.mu.Unlock()
	var noNetwork *neutronrpc.NetworkNotFound
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &noNetwork):
		slog.DebugContext(ctx, "the network was deleted in the meantime", "network", u.networkID)
	default:
		a.request(fmt.Sprintf("a change of network %s failed: %v", u.networkID, err))
	}
}

// refresh asks for a network and serves its current state.
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

// enable serves a network. It gets an address on the network, if it has none, and serves the ports.
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
	a.mu.Lock()
	defer a.mu.Unlock()
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

// ownPort returns the port of this host's DHCP server on a network, and creates it if necessary. It
// returns nil if the network was deleted.
func (a *dhcpAgent) ownPort(ctx context.Context, n neutronrpc.Network) (*neutronrpc.Port, error) {
	id := a.deviceID(n.ID)
	for _, p := range n.Ports {
		if p.DeviceID == id {
			return &p, nil
		}
	}
	return a.plugin.CreateDhcpPort(ctx, neutronrpc.Port{NetworkID: n.ID, DeviceID: id})
}

// disable stops serving a network.
func (a *dhcpAgent) disable(ctx context.Context, networkID string) {
	a.mu.Lock()
	n, known := a.networks[networkID]
	delete(a.networks, networkID)
	a.mu.Unlock()
	if !known {
		return
	}
	a.sayf("no longer serves network %s", n.Name)
	if err := a.plugin.ReleaseDhcpPort(ctx, networkID, a.deviceID(networkID)); err != nil {
		slog.ErrorContext(ctx, "the port of the DHCP server stays", "network", n.Name, "error", err)
	}
}

// deviceID returns the name of this host's DHCP server on a network.
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

// serve serves a port of a network that the agent serves, unless the port is known to be deleted,
// or to have changed since. An active port was served before. The caller holds the lock.
func (a *dhcpAgent) serve(networkID string, p neutronrpc.Port) {
	n := a.networks[networkID]
	known := slices.IndexFunc(n.Ports, func(k neutronrpc.Port) bool { return k.ID == p.ID })
	switch _, deleted := a.deleted[p.ID]; {
	case deleted, known >= 0 && n.Ports[known].RevisionNumber > p.RevisionNumber:
		return
	case known >= 0:
		n.Ports[known] = p
	default:
		n.Ports = append(n.Ports, p)
	}
	a.networks[networkID] = n
	if p.Status != "ACTIVE" {
		a.ready[p.ID] = true
		select {
		case a.tell <- struct{}{}:
		default:
		}
	}
}

// remembered is how long the agent remembers deleted ports. It is longer than any message can be
// delayed.
const remembered = 24 * time.Hour

// forget stops serving a port.
func (a *dhcpAgent) forget(networkID, portID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, known := a.networks[networkID]; known {
		n.Ports = slices.DeleteFunc(n.Ports, func(p neutronrpc.Port) bool { return p.ID == portID })
		a.networks[networkID] = n
	}
	delete(a.ready, portID)
	maps.DeleteFunc(a.deleted, func(_ string, went time.Time) bool { return time.Since(went) > remembered })
	a.deleted[portID] = time.Now()
}

const (
	// readyBatch is how many ports are reported to the server at a time, and readyPause the pause
	// after a failure.
	readyBatch = 64
	readyPause = 200 * time.Millisecond
)

// tellOften reports ready ports to the server, when there are any and after a failure, until ctx
// ends.
func (a *dhcpAgent) tellOften(ctx context.Context) {
	for {
		var again <-chan time.Time
		if !a.tellReady(ctx) {
			again = time.After(readyPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.tell:
		case <-again:
		}
	}
}

// tellReady reports the served ports to the server. It returns false if it must try again.
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
