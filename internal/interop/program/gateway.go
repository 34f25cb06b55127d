package program

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Relay runs a gateway that accepts attached servers, until SIGTERM or the end of standard input.
// The note of its Ready event is its address.
func Relay(ctx context.Context, url string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the runner ends
		stop()
	}()
	g := gateway.New()
	g.TakeServers()
	t, err := oslorpc.Open(url, asGateway{oslorpc.WithListen("127.0.0.1:0"), g}, oslorpc.WithCallerName("interop-gateway"))
	if err != nil {
		return err
	}
	events := wire.NewWriter(os.Stdout)
	ready := oslorpc.WithStarted(func(i oslorpc.Instance) { _ = events.Write(wire.Event{Event: wire.Ready, Note: i.Addr}) })
	if err := t.Server(oslorpc.Target{Topic: gateway.Topic, Server: "interop"}, ready).Run(ctx); err != nil {
		return err
	}
	_ = events.Write(wire.Event{Event: wire.Stopped})
	return t.Close()
}

// asGateway makes the process of a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

// Gateway implements [gateway.Option].
func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }
