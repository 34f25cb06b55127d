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

// TakeServers lets servers that cannot be dialled attach themselves to the gateway. It is called
// before the gateway is given to a transport.
func (g *Gateway) TakeServers() { g.takes = true }

// Announcer publishes the instances of the gateway's process in discovery, including those that
// Beside returns.
type Announcer interface {
	// Announce returns when discovery has the instances that Beside returns now. Settle updates
	// discovery in the background.
	Announce(ctx context.Context) error
	Settle()
}

// Know returns the registry for the gateway's clients: known, which is the registry of the
// transport, plus the attached servers. Names is the rule for the name that an attached server must
// prove; nil for none. Know is called once, before Dial.
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

// Dial connects the gateway's clients to an address. It reaches an attached process through that
// process's stream, and others over the network.
func (g *Gateway) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if g.attached != nil && attached.IsAddr(addr) {
		return g.attached.Dial(ctx, addr)
	}
	return peer.DialNetwork(ctx, addr)
}

// Connect sets the carrier that connects to attached processes, and the announcer of their servers.
// It is called before Open.
func (g *Gateway) Connect(c carrier.Carrier, a Announcer) {
	g.announcer = a
	if g.attached != nil {
		g.attached.Use(c)
	}
}

// Beside returns the instances of the attached servers as the gateway's process announces them:
// with its own boot id and address.
func (g *Gateway) Beside(bootID, addr string) []rpc.Instance {
	if g.attached == nil {
		return nil
	}
	return g.attached.Beside(bootID, addr)
}

// known returns an instance that is attached, or is on a watched topic. It returns false for any
// other id.
func (g *Gateway) known(id string) (rpc.Instance, bool) {
	if g.attached != nil {
		if i, ok := g.attached.Instance(id); ok {
			return i, true
		}
	}
	return g.clients.Instance(id)
}

// Attach answers the RPC of a process that attaches its servers. Allow returns an error for a
// server that must not be attached.
func (g *Gateway) Attach(stream attached.Stream, allow func(*rpc.Instance) error) error {
	if g.attached == nil {
		return status.Error(codes.Unimplemented, "this gateway accepts no attached servers: start it with --attach")
	}
	return g.attached.Attach(stream, allow)
}

// moveTime is how long attached processes have to attach to another gateway.
const moveTime = 3 * time.Second

// detach makes the attached processes attach to other gateways, for up to moveTime. It withdraws
// the processes that stay from discovery.
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
