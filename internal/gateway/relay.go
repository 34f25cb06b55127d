package gateway

import (
	"cmp"
	"context"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// relayed is a message that is forwarded without a goroutine of its own.
type relayed struct {
	gateway *Gateway
	waiter  intake.Waiter
}

// Begin implements [intake.Relayer].
func (g *Gateway) Begin(ctx context.Context, m *intake.Message, cast bool, w intake.Waiter) intake.Begun {
	if g.enter() != nil {
		return nil // Call and Cast return the error
	}
	mode := carrier.Call
	if cast {
		mode = carrier.Cast
	}
	b := g.clients.Begin(ctx, g.request(m, mode), relayed{g, w})
	if b == nil {
		g.leave()
		return nil
	}
	return begun{b}
}

// begun is a message that is about to be forwarded.
type begun struct{ carrier.Begun }

// Through implements [intake.Begun].
func (b begun) Through() intake.Drainer { return b.Begun.Through() }

// Answered implements [carrier.Waiter].
func (r relayed) Answered(reply carrier.Reply, err error) carrier.Drainer {
	r.gateway.exit(err)
	return r.waiter.Answered(cmp.Or(reply.Result, "null"), err)
}

// Unsent implements [carrier.Waiter].
func (r relayed) Unsent() {
	r.gateway.leave()
	r.waiter.Unsent()
}
