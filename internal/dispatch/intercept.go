package dispatch

import (
	"context"
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// runFunc is the Run of an interceptor.
type runFunc = func(context.Context, *rpc.Message, rpc.Next) error

// runsOf returns the Run functions of the interceptors that have one.
func runsOf(interceptors []rpc.Interceptor) []runFunc {
	var runs []runFunc
	for _, i := range interceptors {
		if i.Run != nil {
			runs = append(runs, i.Run)
		}
	}
	return runs
}

// chain runs one message within the interceptors.
type chain struct {
	execution *execution
	message   *rpc.Message
	// own is the error that the method returned. Ours is an error of the library instead: the
	// message could not be decoded, its result could not be sent, or an interceptor refused it.
	own, ours error
}

// intercepted performs the message within interceptors.
func (e *execution) intercepted() error {
	ctx := e.ctx
	if !e.request.HasContext {
		ctx = msgcontext.Arrived(ctx, e.request.Context)
		e.request.HasContext = true
	}
	c := &chain{execution: e, message: MessageFrom(ctx)}
	return c.outcome(c.run(ctx, e.dispatcher.runs))
}

// run runs the rest of the interceptors, and within them the method. It returns the error that the
// interceptor around them sees.
func (c *chain) run(ctx context.Context, rest []runFunc) error {
	if len(rest) == 0 {
		return c.perform(ctx)
	}
	next := &next{chain: c, rest: rest[1:]}
	defer next.end()
	err := rest[0](ctx, c.message, next.call)
	if next.end() {
		return err
	}
	c.ours = refusal.Denied("an interceptor of the server neither ran the method nor returned an error")
	if err != nil {
		c.ours = c.refusedBy(ctx, err)
	}
	return c.ours
}

func (c *chain) perform(ctx context.Context) error {
	err := c.execution.perform(ctx)
	if failure, ok := errors.AsType[*MethodError](err); ok {
		c.own = failure.Err
		return c.own
	}
	c.ours = err
	return err
}

// outcome returns the error of a message whose outermost interceptor returned err. Interceptors can
// replace errors, but the outcome must still say truthfully whether the method ran and whether its
// result was sent.
func (c *chain) outcome(err error) error {
	returned := &MethodError{Err: err}
	switch {
	case c.ours != nil && (err == nil || returned.is(c.ours)):
		return c.ours
	case err == nil:
		return nil
	case !c.execution.invoked:
		return c.refusedBy(c.execution.ctx, err)
	case !returned.matches(isDenial) || c.own != nil && returned.is(c.own):
		return returned
	}
	denied := c.refusedBy(c.execution.ctx, err)
	denied.NotStarted = false
	return denied
}

func (c *chain) refusedBy(ctx context.Context, err error) *rpc.Error {
	return c.execution.dispatcher.refusedBy(ctx, c.execution.request, err)
}

// isDenial reports whether an interceptor's error says that the sender lacks permission.
func isDenial(err error) bool { return rpc.KindOf(err) == rpc.AccessDenied }

// next is the rest of a chain, as the next function of one interceptor. It runs at most once, and
// not after that interceptor has returned.
type next struct {
	chain *chain
	rest  []runFunc

	mu     sync.Mutex // held while it runs
	called bool
	ended  bool
}

// call implements [rpc.Next].
func (n *next) call(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.called || n.ended {
		return &rpc.Error{Kind: rpc.Invalid, Message: "an interceptor called next twice, or after it had returned: a message runs at most once"}
	}
	n.called = true
	return n.chain.run(ctx, n.rest)
}

// end makes later calls of next fail. It waits for a call that is still running, and reports
// whether next was called.
func (n *next) end() (called bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	return n.called
}
