package dispatch

import (
	"context"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Executor runs a function, once, on a goroutine of its choice, and may return before that. Once ctx has ended the function does
// nothing and need not be run. There are never more functions to run than the server has workers.
type Executor func(ctx context.Context, run func())

// RunOn has methods run where execute says. It must be called before the first message.
func (s *Server) RunOn(execute Executor) { s.execute = execute }

// work waits for a worker and runs a message. If it did not start, the error is why ctx ended.
func (s *Server) work(ctx context.Context, t *ticket, r *Request, sel selected, emit Emit) (started bool, err error) {
	if err := t.wait(ctx); err != nil {
		return false, err
	}
	defer t.done()
	if s.execute == nil {
		return true, s.run(ctx, r, sel, emit)
	}
	return s.handOver(ctx, func() error { return s.run(ctx, r, sel, emit) })
}

// errGoroutineEnded is the error of a method that calls runtime.Goexit.
var errGoroutineEnded = &rpc.Error{
	Kind: rpc.OutcomeUnknown, Message: "the method ended the goroutine that it ran on, and did not say what came of it",
}

// handOver has the executor run a message, and returns when that is done, or when ctx ended before it began. Of the two who may
// decide that, the executor's goroutine and this one, the first to claim the message does.
func (s *Server) handOver(ctx context.Context, run func() error) (started bool, err error) {
	var claimed atomic.Bool
	ended := make(chan struct{})
	s.execute(ctx, func() {
		if claimed.Swap(true) {
			return
		}
		defer close(ended)
		err = errGoroutineEnded // unless run returns
		err = run()
	})
	select {
	case <-ended:
		return true, err
	case <-ctx.Done():
	}
	if !claimed.Swap(true) {
		return false, ctx.Err()
	}
	<-ended
	return true, err
}
