package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/inprocess"
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
