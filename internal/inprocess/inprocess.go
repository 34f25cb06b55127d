// Package inprocess has the parts of a transport that package oslorpctest replaces, so that one
// test can have several simulated processes. Only these two packages, and packages below them, use
// it.
package inprocess

import (
	"context"
	"net"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Process is a simulated process of a transport. All fields are required.
type Process struct {
	// Registry returns the registry to use in place of the one in the URL.
	Registry func(registry.Registry) registry.Registry
	// Listen and Dial are the network. Listen returns a listener and the address to publish.
	Listen func() (net.Listener, string)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
	// Starts is called with the state machine of a starting server, before its first message.
	Starts func(*phase.Machine)
	// Accepted is called for each message that the server of a target accepts. It must not block.
	Accepted func(at rpc.Target, r *dispatch.Request)
	// Before is called before each method of an endpoint runs, on the same goroutine. If it returns
	// an error, the method does not run, and the error is its result.
	Before func(context.Context) error
}

// Option is a TransportOption of package oslorpc that puts the transport into a simulated process.
// The type is here to keep it out of that package's interface.
type Option interface {
	// InProcess returns the process.
	InProcess() *Process
}
