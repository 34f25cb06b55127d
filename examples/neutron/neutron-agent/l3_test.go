package main

import (
	"bytes"
	"context"
	"log"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// routerServer is a server of routers. It answers requests about router "slow" only when the test
// allows it.
type routerServer struct {
	neutronrpc.L3RPC

	hanging chan struct{}
}

func (s *routerServer) SyncRouters(ctx context.Context, args neutronrpc.SyncRoutersArgs) ([]neutronrpc.Router, error) {
	var routers []neutronrpc.Router
	for _, id := range *args.RouterIDs {
		routers = append(routers, neutronrpc.Router{ID: id, Name: id})
	}
	if slices.Contains(*args.RouterIDs, "slow") {
		select {
		case <-s.hanging:
		case <-ctx.Done():
		}
	}
	return routers, ctx.Err()
}

// An L3 agent that is notified about a network asks for the routers that have an address on this
// network.
func TestNetworkUpdate(t *testing.T) {
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: neutronrpc.L3PluginTopic, Server: "ctl1"}, []oslorpc.Endpoint{neutronrpc.L3RPCCallback(&routerServer{})})
	var out bytes.Buffer
	on := func(id, network string) neutronrpc.Router {
		return neutronrpc.Router{ID: id, Name: "old", Interfaces: []neutronrpc.Port{{NetworkID: network}}}
	}
	a := &l3Agent{
		plugin: neutronrpc.NewL3PluginAPI(f.Transport(), "net1"), order: newOrder(),
		routers: map[string]neutronrpc.Router{"a": on("a", "n"), "b": on("b", "m")},
		service: &service{node: &node{options: options{host: "net1"}, out: log.New(&out, "", 0)}},
	}
	for _, network := range []string{"n", "other"} {
		if err := a.NetworkUpdate(t.Context(), neutronrpc.NetworkUpdateArgs{Network: neutronrpc.Network{ID: network}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Messages(oslorpctest.For("sync_routers")); len(got) != 1 || a.routers["a"].Name != "a" || a.routers["b"].Name != "old" {
		t.Errorf("it asked %v, and serves %v", got, a.routers)
	}
}

// A router whose call hangs blocks no other router. If it was deleted meanwhile, its answer does
// not bring it back.
func TestSlowRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &routerServer{hanging: make(chan struct{})}
		f := oslorpctest.New(t)
		f.Serve(oslorpc.Target{Topic: neutronrpc.L3PluginTopic, Server: "ctl1"}, []oslorpc.Endpoint{neutronrpc.L3RPCCallback(s)})
		var out bytes.Buffer
		a := &l3Agent{
			plugin: neutronrpc.NewL3PluginAPI(f.Transport(), "net1"), order: newOrder(), routers: map[string]neutronrpc.Router{},
			service: &service{node: &node{options: options{host: "net1"}, out: log.New(&out, "", 0)}},
		}
		slow := make(chan error, 1)
		go func() {
			slow <- a.RouterAddedToAgent(t.Context(), neutronrpc.RoutersAddedArgs{Payload: []string{"slow", "r"}})
		}()
		synctest.Wait()
		if err := a.RoutersUpdated(t.Context(), neutronrpc.RoutersArgs{Routers: []string{"r"}}); err != nil {
			t.Fatal(err)
		}
		if err := a.RouterDeleted(t.Context(), neutronrpc.RouterArgs{RouterID: "slow"}); err != nil {
			t.Fatal(err)
		}
		if _, serves := a.routers["r"]; !serves {
			t.Error("a router waits for another")
		}
		close(s.hanging)
		if err := <-slow; err != nil {
			t.Fatal(err)
		}
		if _, serves := a.routers["slow"]; serves || len(a.routers) != 1 {
			t.Errorf("it serves %v", a.routers)
		}
	})
}
