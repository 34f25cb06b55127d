package gateway_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	discovered "github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// attachable is the registry of a process behind a gateway. It answers the gateway as a server
// whose instances are attached.
type attachable struct {
	*discovered.Registry

	server  *grpc.Server
	serving sync.WaitGroup
}

// plainConn is a connection to a gateway that does not tell why it fails.
type plainConn struct{ *grpc.ClientConn }

// Why implements [discovered.Conn].
func (plainConn) Why(string) string { return "" }

func newAttachable(t *testing.T, g *gate) *attachable {
	t.Helper()
	r, err := discovered.Open("gateway://"+g.addr, registry.Config{Exchange: rpc.DefaultExchange, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Use(func(addr string) (discovered.Conn, error) {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		return plainConn{conn}, err
	})
	a := &attachable{Registry: r, server: grpc.NewServer()}
	l, _ := r.Attach()
	a.serving.Go(func() { _ = a.server.Serve(l) }) // it ends with Close
	return a
}

// Close implements [registry.Registry].
func (a *attachable) Close(ctx context.Context) error {
	err := a.Registry.Close(ctx)
	a.server.Stop()
	a.serving.Wait()
	return err
}

// The registry of processes behind a gateway passes the tests of registries. Instances have the
// address and the boot id of the gateway there, which carries sessions whatever the process does. A
// state that the contract does not have is none, which counts as active.
func TestRegistrySuite(t *testing.T) {
	g := newFleet(t).attaching(t, "gw")
	at, _ := g.server.Instance()
	known := map[rpc.State]bool{rpc.StateActive: true, rpc.StateHeld: true, rpc.StateDraining: true}
	registrytest.Suite(t, func(t *testing.T) registry.Registry { return newAttachable(t, g) },
		registrytest.Seen(func(i rpc.Instance) rpc.Instance {
			i.Addr, i.BootID, i.Sessions = g.addr, at.BootID, true
			if !known[i.State] {
				i.State = ""
			}
			return i
		}))
}
