package gateway

import (
	"context"
	"log/slog"
	"net"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Publishing is a registry that can only publish.
type Publishing struct {
	registry.Registry

	publisher *publisher
}

// NewPublishing returns a registry that publishes at gateways.
func NewPublishing(addrs []string, options []grpc.DialOption) *Publishing {
	dial := func(addr string) (Conn, error) { return peer.Config{Options: options}.Connection(addr) }
	return &Publishing{publisher: newPublisher(addrs, dial, slog.New(slog.DiscardHandler))}
}

// Attach implements [discovery.Attacher].
func (p *Publishing) Attach() (l net.Listener, addr string) { return p.publisher.Attach() }

// Lapses implements [registry.Lapser].
func (p *Publishing) Lapses(notify func(reason string)) { p.publisher.Lapses(notify) }

// Publish implements [registry.Registry].
func (p *Publishing) Publish(ctx context.Context, list []rpc.Instance) error {
	return p.publisher.Publish(ctx, list)
}

// Close implements [registry.Registry].
func (p *Publishing) Close(ctx context.Context) error { return p.publisher.close(ctx) }
