//go:build linux

package role

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Gateway is a process that forwards messages, like the command oslorpc gateway.
type Gateway struct {
	Name   string `json:"name"`
	Listen string `json:"listen"`
	// Attach is true if servers may attach.
	Attach bool `json:"attach,omitempty"`
}

// forward runs the gateway until ctx ends, and then finishes the outstanding messages.
func (c *Config) forward(ctx context.Context) error {
	g := gateway.New()
	if c.Gateway.Attach {
		g.TakeServers()
	}
	t, err := c.open(asGateway{oslorpc.WithListen(c.Gateway.Listen), g})
	if err != nil {
		return err
	}
	server := t.Server(oslorpc.Target{Topic: gateway.Topic, Server: c.Gateway.Name})
	if err := server.Start(ctx); err != nil {
		return errors.Join(err, t.Close())
	}
	fmt.Fprintln(os.Stdout, Ready)
	<-ctx.Done()
	return errors.Join(server.Stop(context.Background()), t.Close())
}

// asGateway is an option that makes the process of a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

// Gateway implements [gateway.Option].
func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }
