// Package inprocess is what package oslorpctest replaces in a transport, so that it is one of
// several processes within a test. Only these two packages, and what is below them, use it.
package inprocess

import (
	"context"
	"net"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Process stands for the process that a transport believes to be in. All fields are required.
type Process struct {
	// Registry returns what the transport uses in place of the registry of its URL.
	Registry func(registry.Registry) registry.Registry
	// Listen and Dial are the network: Listen returns a listener with the address to announce.
	Listen func() (net.Listener, string)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
	// Starts is told the phase of a server that starts, before its first message.
	Starts func(*phase.Machine)
	// Accepted is told of each message that the server of a target accepts; it must not wait for
	// anything.
	Accepted func(at rpc.Target, r *dispatch.Request)
	// Before is called before each method of an endpoint runs, on its goroutine. An error is
	// returned in the method's place.
	Before func(context.Context) error
}

// Option is a TransportOption of package oslorpc that puts the transport into a process. The type
// is here, so that it is not part of that package's interface.
type Option interface {
	// InProcess returns the process.
	InProcess() *Process
}
