package intake

import (
	"context"
	"runtime/debug"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// acceptFunc is the Accept of an interceptor.
type acceptFunc = func(context.Context, *rpc.Message) (context.Context, error)

// accept runs the Accept functions of the interceptors, and returns the context for the method. An
// error refuses the message.
func (i *Intake) accept(ctx context.Context, m *Message) (context.Context, error) {
	if len(i.accepts) == 0 {
		return ctx, nil
	}
	ctx = msgcontext.Arrived(ctx, m.Context)
	m.HasContext = true
	return i.ask(ctx, m.Describe())
}

// ask runs the Accept functions on a new goroutine. The calling goroutine belongs to the carrier:
// if an interceptor ended it (runtime.Goexit), the sender would get no answer.
func (i *Intake) ask(ctx context.Context, m *rpc.Message) (accepted context.Context, err error) {
	err = refusal.Denied("an interceptor of the server ended its goroutine (runtime.Goexit)")
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		accepted, err = i.askAll(ctx, m) //nolint:fatcontext // It is set once.
	}()
	<-asked
	return accepted, err
}

func (i *Intake) askAll(ctx context.Context, m *rpc.Message) (accepted context.Context, err error) {
	for _, accept := range i.accepts {
		if accepted, err = i.askOne(ctx, accept, m); err != nil {
			return nil, err
		}
		ctx = accepted //nolint:fatcontext // There are few interceptors, and each may add to it.
	}
	return ctx, nil
}

// askOne runs the Accept function of one interceptor. If it panics, the message is refused.
func (i *Intake) askOne(ctx context.Context, accept acceptFunc, m *rpc.Message) (accepted context.Context, err error) {
	defer func() {
		if p := recover(); p != nil {
			i.config.Log.ErrorContext(ctx, "interceptor panicked before a message was accepted",
				"method", m.Method, "panic", p, "stack", string(debug.Stack()))
			err = refusal.Denied("an interceptor of the server panicked")
		}
	}()
	accepted, err = accept(ctx, m)
	switch {
	case err != nil:
		return nil, i.refusedBy(ctx, m, err)
	case accepted == nil:
		return nil, refusal.Denied("an interceptor of the server returned neither a context nor an error")
	default:
		return accepted, nil
	}
}

// refusedBy returns the error for a message that an interceptor refused with err.
func (i *Intake) refusedBy(ctx context.Context, m *rpc.Message, err error) *rpc.Error {
	if !i.config.Discreet {
		return refusal.By(ctx, err)
	}
	return refusal.Discreetly(ctx, err, func(id, text string) {
		i.config.Log.WarnContext(ctx, "interceptor refused a message", "method", m.Method, "error", text, "failure", id)
	})
}
