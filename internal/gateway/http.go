package gateway

import (
	"context"
	"errors"
	"net"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/internal/inbound"
)

// HTTP is the HTTP side of a gateway.
type HTTP struct {
	// Addr is the address of its listener.
	Addr net.Addr

	server *httpfront.Server
	served chan error
}

// ServeHTTP offers the messages of the fleet over HTTP at an address, with the trust of the
// gateway's transport, until Shutdown. The gateway must be open. Errors are of kind Invalid.
func (g *Gateway) ServeHTTP(ctx context.Context, address string, c httpfront.Config) (*HTTP, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, failure.Invalid(`the address to listen on for HTTP, %q, is malformed: write "host:port"`, address)
	}
	if err := g.trust.CheckServing(address); err != nil {
		return nil, err
	}
	c.Intake, c.Identify = g.intake, httpfront.Proofs(g.trust, inbound.NewTokens(g.trust.Config().Tokens, c.Log))
	handler, err := httpfront.New(c)
	if err != nil {
		return nil, err
	}
	var listening net.ListenConfig
	plain, err := listening.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, failure.Invalid("cannot listen for HTTP on %s: %v", address, err)
	}
	l, err := g.trust.Listener(plain, "h2", "http/1.1")
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	h := &HTTP{Addr: plain.Addr(), server: handler.Server(), served: make(chan error, 1)}
	go func() { h.served <- h.server.Serve(l) }()
	return h, nil
}

// Leave refuses further messages, so that their senders use another gateway.
func (h *HTTP) Leave() { h.server.Leave() }

// Shutdown refuses further messages and returns when all messages in progress are answered. When
// ctx ends, it cancels them and returns.
func (h *HTTP) Shutdown(ctx context.Context) error {
	return errors.Join(h.server.Shutdown(ctx), <-h.served)
}
