package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/inprocess"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// A transport of package oslorpctest has a process that it is in; all others have none.
var _ = inprocess.Provide(func(p *inprocess.Process) TransportOption {
	return transportOption(func(c *config) { c.process = p })
})

// watched returns a method that the process is told of before it runs.
func (c *config) watched(m *dispatch.Method) *dispatch.Method {
	if c.process == nil {
		return m
	}
	return around(m, func(ctx context.Context, emit dispatch.Emit, invoke dispatch.Invocation) error {
		if err := c.process.Before(ctx); err != nil {
			return err
		}
		return invoke(ctx, emit)
	})
}

// watch tells the process of a server that starts, and returns the function that is called with each
// message that the server accepts; nil if there is no process to tell.
func (c *config) watch(at Target, p *phase.Machine) func(*dispatch.Request) {
	if c.process == nil {
		return nil
	}
	c.process.Starts(p)
	return func(r *dispatch.Request) { c.process.Accepted(at, r) }
}
