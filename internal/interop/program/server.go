package program

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// Serve runs a server until SIGTERM or the end of the standard input, and stops it gracefully.
func Serve(ctx context.Context, url, topic, name string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the runner ends
		stop()
	}()
	t, err := open(url)
	if err != nil {
		return err
	}
	m := &methods{name: name, events: wire.NewWriter(os.Stdout)}
	server := t.Server(oslorpc.Target{Topic: topic, Server: name}, oslorpc.WithStarted(func(oslorpc.Instance) { m.tell(wire.Ready, "") }))
	server.Add(m.endpoint())
	if err := server.Run(ctx); err != nil {
		return err
	}
	m.tell(wire.Stopped, "")
	return t.Close()
}

func open(url string) (*oslorpc.Transport, error) {
	return oslorpc.Open(url, oslorpc.WithErrorType[*PortNotFound](PortNotFoundType), oslorpc.WithCallerName("interop-go"))
}
