// Package gateway forwards messages: it gives a fleet a single address.
//
// A [Gateway] receives the messages for servers of other processes from the intake of its process,
// after the policy, the interceptors and the limits have allowed them. It forwards them through the
// client half of the same transport, without decoding their contents. It keeps no state whose loss
// matters.
package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/gateway/attached"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Topic is the topic on which gateways announce themselves.
const Topic = "gateway"

// ballast is roughly how many bytes of messages arrive between two garbage collections.
const ballast = 32 << 20

// Gateway forwards the messages of other processes. It is safe for concurrent use.
type Gateway struct {
	// Bind and Open set the following fields once.
	clients  *client.Transport
	registry registry.Registry
	exchange string
	trust    *security.Trust
	intake   *intake.Intake
	// takes is true if servers may attach. Attached has these servers; nil if none may attach.
	takes     bool
	attached  *attached.Servers
	announcer Announcer

	// callers are the recent senders of messages.
	callers callers
	// ballast is memory that is never touched; see OwnProcess.
	ballast []byte

	leaving   chan struct{} // closed when the process begins to stop
	leaves    sync.Once
	forwarded atomic.Int64
	failed    atomic.Int64
	watches   atomic.Int64

	mu      sync.Mutex // guards what follows
	running int        // messages that were forwarded and have no answer yet
	refuses bool
	idle    chan struct{} // closed when refuses is true and running is 0
}

// Option is a TransportOption of package oslorpc that makes the process of the transport a gateway.
// The type is in this package to keep it out of that package's public API.
type Option interface {
	// Gateway returns the gateway.
	Gateway() *Gateway
}

var _ intake.Forwarder = (*Gateway)(nil)

// New returns a gateway, to be given to a transport.
func New() *Gateway {
	return &Gateway{leaving: make(chan struct{}), idle: make(chan struct{})}
}

// OwnProcess reduces garbage collections in a process that does nothing but forward. The heap of
// such a process is nearly empty, so Go would collect garbage after each 4 MiB of messages, which
// took a third of its processor time. OwnProcess allocates a ballast that counts as heap and so
// delays collections. The ballast is never touched, so the system need not provide memory for it.
func (g *Gateway) OwnProcess() { g.ballast = make([]byte, ballast) }

// Bind sets how the gateway reaches the fleet. It is called once, before Open. Exchange is the
// exchange of targets that name none, and trust is what its listeners trust.
func (g *Gateway) Bind(clients *client.Transport, registry registry.Registry, exchange string, trust *security.Trust) {
	g.clients, g.registry, g.exchange, g.trust = clients, registry, exchange, trust
}

// Open sets the intake from which messages come. It is called once, before the first message.
func (g *Gateway) Open(in *intake.Intake) { g.intake = in }

// Intake returns the intake, for messages that arrive by other ways than gRPC. It is valid once the
// gateway was opened.
func (g *Gateway) Intake() *intake.Intake { return g.intake }

// Leave announces that the process begins to stop, so that watching clients and attached servers
// move to another gateway.
func (g *Gateway) Leave() {
	g.leaves.Do(func() {
		close(g.leaving)
		if g.attached != nil {
			g.attached.TellClosing()
		}
	})
}

// Leaving implements [intake.Forwarder].
func (g *Gateway) Leaving() <-chan struct{} { return g.leaving }

// Stop refuses messages from now on. It returns when all forwarded messages are answered, or when
// ctx ends, with the cause of that end.
func (g *Gateway) Stop(ctx context.Context) error {
	g.Leave()
	g.detach(ctx)
	if g.attached != nil {
		defer g.attached.Close()
	}
	g.mu.Lock()
	if !g.refuses {
		g.refuses = true
		if g.running == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter counts a message that is about to be forwarded. The error refuses it.
func (g *Gateway) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuses {
		stopping := refusal.New(refusal.Stopping)
		stopping.Message = "the gateway is stopping"
		return stopping
	}
	g.running++
	return nil
}

// exit counts a message that was forwarded and answered with err.
func (g *Gateway) exit(err error) {
	g.forwarded.Add(1)
	if err != nil && rpc.KindOf(err) != rpc.Remote {
		g.failed.Add(1)
	}
	g.leave()
}

// leave undoes enter.
func (g *Gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.refuses && g.running == 0 {
		close(g.idle)
	}
}
