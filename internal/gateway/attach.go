package gateway

import (
	"context"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/gateway/attached"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TakeServers has the gateway take servers that cannot be dialled, and attach themselves. It is
// called before the gateway is given to a transport.
func (g *Gateway) TakeServers() { g.takes = true }

// Announcer tells discovery what the process announces.
type Announcer interface {
	// Announce returns when discovery was told what Beside returns now; Settle has it told in the
	// background.
	Announce(ctx context.Context) error
	Settle()
}

// Know returns the registry that the clients of the gateway use, given the one of the transport: it
// has the attached servers, too. It is called once, before Dial.
func (g *Gateway) Know(known registry.Registry, names identity.Rule, log *slog.Logger) registry.Registry {
	if !g.takes {
		return known
	}
	g.attached = attached.New(attached.Config{
		Announce: func(ctx context.Context) error { return g.announcer.Announce(ctx) },
		Settle:   func() { g.announcer.Settle() },
		Identity: names, Log: log,
	})
	return g.attached.Registry(known)
}

// Dial connects the clients of the gateway to an address: to an attached process through its
// stream, and to others over the network.
func (g *Gateway) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if g.attached != nil && attached.IsAddr(addr) {
		return g.attached.Dial(ctx, addr)
	}
	return peer.DialNetwork(ctx, addr)
}

// Connect tells the gateway what connects it to attached processes, and what announces them. It is
// called before Open.
func (g *Gateway) Connect(c carrier.Carrier, a Announcer) {
	g.announcer = a
	if g.attached != nil {
		g.attached.Use(c)
	}
}

// Beside returns the attached servers as the process announces them.
func (g *Gateway) Beside(bootID, addr string) []rpc.Instance {
	if g.attached == nil {
		return nil
	}
	return g.attached.Beside(bootID, addr)
}

// known returns an instance that is attached, or of a topic that is watched; false if none is
// known.
func (g *Gateway) known(id string) (rpc.Instance, bool) {
	if g.attached != nil {
		if i, ok := g.attached.Instance(id); ok {
			return i, true
		}
	}
	return g.clients.Instance(id)
}

// Attach answers the RPC of a process that attaches its servers. Allow returns why it must not
// attach one.
func (g *Gateway) Attach(stream attached.Stream, allow func(*rpc.Instance) error) error {
	if g.attached == nil {
		return status.Error(codes.Unimplemented, "this gateway takes no attached servers: start it with --attach")
	}
	return g.attached.Attach(stream, allow)
}

// moveTime is how long attached processes have to attach to another gateway.
const moveTime = 3 * time.Second

// detach has the attached processes move to other gateways, and withdraws those that stay.
func (g *Gateway) detach(ctx context.Context) {
	if g.attached == nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, moveTime)
	defer cancel()
	g.attached.Leave(within)
	g.attached.Hide()
	if err := g.announcer.Announce(within); err != nil {
		g.announcer.Settle()
	}
}
