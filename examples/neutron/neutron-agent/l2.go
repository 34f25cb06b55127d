package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// dvrAgent knows the MAC addresses of the distributed routers on other hosts.
type dvrAgent struct {
	*service

	plugin *neutronrpc.DVRServerRPCAPI

	mu   sync.Mutex
	macs map[string]string
}

func newDVRService(h *node) *service {
	a := &dvrAgent{
		plugin: neutronrpc.NewDVRServerRPCAPI(h.transport, h.host, oslorpc.WithBackoff(h.backoff)), macs: map[string]string{},
	}
	a.service = &service{
		node: h, name: "L2 agent (DVR)", topic: neutronrpc.DVRUpdateTopic,
		endpoint: neutronrpc.DVRAgentRPCCallbackMixin(a), sync: a.syncState,
	}
	return a.service
}

// syncState gets an address for this host, which the server then sends to all others, and reads the
// addresses of the others.
func (a *dvrAgent) syncState(ctx context.Context) (string, error) {
	if _, err := a.plugin.GetDVRMACAddressByHost(ctx); err != nil {
		return "", err
	}
	macs, err := a.plugin.GetDVRMACAddressList(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the addresses of %d hosts", len(macs)), a.DVRMACAddressUpdate(ctx, neutronrpc.DVRMACsArgs{DVRMACs: macs})
}

// DVRMACAddressUpdate announces the addresses of all hosts.
func (a *dvrAgent) DVRMACAddressUpdate(_ context.Context, args neutronrpc.DVRMACsArgs) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, mac := range args.DVRMACs {
		if _, known := a.macs[mac.Host]; !known {
			a.sayf("knows that %s has the address %s", mac.Host, mac.MACAddress)
		}
		a.macs[mac.Host] = mac.MACAddress
	}
	return nil
}

// networksAgent keeps copies of all networks, at the version of the type that it knows.
type networksAgent struct {
	*service

	known neutronrpc.ObjectType
	pull  *neutronrpc.ResourcesPullRPCAPI
	cache *neutronrpc.RemoteResourceCache
}

func newNetworksService(h *node, known neutronrpc.ObjectType) *service {
	a := &networksAgent{
		known: known, cache: neutronrpc.NewRemoteResourceCache(),
		pull: neutronrpc.NewResourcesPullRPCAPI(h.transport, oslorpc.WithBackoff(h.backoff)),
	}
	a.service = &service{
		node: h, name: "L2 agent (networks)", topic: neutronrpc.ResourceTopic(known.Name, known.Version),
		endpoint: neutronrpc.ResourcesPushRPCCallback(a), sync: a.syncState,
	}
	return a.service
}

// syncState reads all networks.
func (a *networksAgent) syncState(ctx context.Context) (string, error) {
	n := 0
	err := a.cache.Resync(func() ([]neutronrpc.VersionedObject, error) {
		objects, err := a.pull.BulkPull(ctx, a.known, nil)
		n = len(objects)
		return objects, err
	})
	return fmt.Sprintf("%d networks, as of version %s", n, a.known.Version), err
}

// Push announces that networks have changed.
func (a *networksAgent) Push(ctx context.Context, args neutronrpc.PushArgs) error {
	for _, o := range args.ResourceList {
		full := o
		if args.EventType == neutronrpc.ObjectDeleted { // then there is nothing but its id
			full, _ = a.cache.Get(o.ID())
		}
		var n neutronrpc.Network
		if err := full.Into(&n); err != nil {
			return err
		}
		a.sayf("hears that network %s is %s, as of version %s, with mtu %d", cmp.Or(n.Name, o.ID()), args.EventType, o.Version, n.MTU)
	}
	return a.cache.Push(ctx, args)
}
