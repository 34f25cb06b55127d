package dispatch

import (
	"context"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Stop refuses messages from now on and returns when the accepted ones have ended. Held messages
// begin to run. If ctx ends first, Stop cancels the contexts of running methods and returns an
// error at once. It also returns an error if Force canceled them in the meantime.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.refuse()
	d.queue.resume()
	select {
	case <-d.ended:
	case <-ctx.Done():
		d.Force(context.Cause(ctx))
	}
	defer d.force(nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.forced
	d.forced = nil
	return err
}

// Force refuses messages from now on and cancels the contexts of running methods with a cause. If
// no message is left, it does nothing else, and Stop returns no error.
func (d *Dispatcher) Force(cause error) {
	d.refuse()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accepted == 0 || d.base.Err() != nil {
		return
	}
	load, name := d.Load(), d.config.Name
	d.forced = &rpc.Error{Kind: rpc.Timeout, Cause: cause, Message: fmt.Sprintf(
		"server %q was stopped by force: %d messages were running and %d waiting", name, load.Running, load.Queued)}
	d.force(&rpc.Error{Kind: rpc.Canceled, Cause: cause, Message: fmt.Sprintf("server %q was stopped by force", name)})
}

// Forced returns a channel that is closed when the server is stopped by force, or when its stop has
// ended.
func (d *Dispatcher) Forced() <-chan struct{} { return d.base.Done() }

// ErrCut returns the error of a stream whose server was stopped by force.
func ErrCut() error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the server was stopped by force before the stream ended: the results that arrived are incomplete"}
}

// refuse refuses messages from now on.
func (d *Dispatcher) refuse() {
	d.config.Phase.Refuse()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closeEnded()
}
