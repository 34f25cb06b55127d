package dispatch

import (
	"context"
	"errors"

	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A server that hides failures tells senders only errors that the program wrote for its callers:
// errors of registered types, and errors that a method is expected to return. For any other
// failure, a sender gets a fixed text with an id, and the log has the details under the same id.

// hiddenType is the type name of a hidden failure. It is the same as for an error without a type
// name.
const hiddenType = "error"

// conceal is the last step of [Dispatcher.failed] for a server that hides failures. Whole is the
// error that a server without this option would send; conceal logs it.
func (d *Dispatcher) conceal(e *execution, failure *MethodError, whole *rpc.RemoteError) error {
	id := ""
	cause, own := d.told(e.selected.method, failure)
	expected := cause != nil && isExpected(e.selected.method, failure)
	if cause == nil {
		id = refusal.NewID()
		cause = &rpc.RemoteError{Type: hiddenType, Message: refusal.Hidden("the method failed", id)}
	}
	cause.Hops = []string{d.config.Name}
	d.report(e.ctx, e.request, whole, id, expected || d.leftAlone(e.ctx, failure))
	remote := &rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause}
	if e.request.isTyped() && own != nil {
		remote.Cause = &Failure{Remote: cause, Own: own}
	}
	return remote
}

// told returns the part of a failure that the program meant for its callers, as an error for the
// sender, and as the method's own error. Cause is nil if there is no such part. Own is nil if the
// failure came from another server. Only the innermost error with that part counts: the texts of
// errors that wrap it are hidden. An error of this library is about another message, so it is
// hidden, too.
func (d *Dispatcher) told(m *Method, failure *MethodError) (cause *rpc.RemoteError, own error) {
	defer func() {
		if recover() != nil {
			cause, own = nil, nil
		}
	}()
	if failure.Stack != nil {
		return nil, nil // a panic, or the end of the goroutine
	}
	if describe := d.config.Describe; describe != nil {
		if name, data := describe(failure.Err); name != "" {
			own = innermost(failure.Err, func(err error) bool {
				same, _ := describe(err)
				return same == name
			})
			return &rpc.RemoteError{Type: name, Message: own.Error(), Data: data}, own
		}
	}
	if further, ok := errors.AsType[*rpc.RemoteError](failure.Err); ok && further.Rebuilt != nil {
		return &rpc.RemoteError{Type: further.Type, Message: further.Rebuilt.Error(), Data: further.Data}, nil
	}
	if _, ours := errors.AsType[*rpc.Error](failure.Err); ours {
		return nil, nil
	}
	for _, accepts := range m.Expected {
		if accepts(failure.Err) {
			own = innermost(failure.Err, accepts)
			return &rpc.RemoteError{Type: hiddenType, Message: own.Error()}, own
		}
	}
	return nil, nil
}

// innermost returns the innermost error in the chain of err for which accepts is true. Accepts must
// be true for err.
func innermost(err error, accepts func(error) bool) error {
	var within []error
	switch wrapper := err.(type) { //nolint:errorlint // This unwraps.
	case interface{ Unwrap() error }:
		within = []error{wrapper.Unwrap()}
	case interface{ Unwrap() []error }:
		within = wrapper.Unwrap()
	}
	for _, next := range within {
		if next != nil && accepts(next) {
			return innermost(next, accepts)
		}
	}
	return err
}

// discreet hides the details of an error that occurred while the arguments were decoded or the
// result was encoded. Such an error may repeat text from the program's code: a serializer, or a
// type with its own encoding.
func (d *Dispatcher) discreet(e *execution, err error) error {
	ours, ok := errors.AsType[*rpc.Error](err)
	if !d.config.Discreet || !ok {
		return err
	}
	what := "the arguments cannot be read"
	switch ours.Kind {
	case rpc.BadArguments:
		if told, ok := payload.WithoutTypes(ours); ok {
			return told
		}
	case rpc.BadResult:
		what = "the method ran, and its result cannot be encoded"
	default:
		return err
	}
	id := refusal.NewID()
	d.config.Log.ErrorContext(e.ctx, what, "server", d.config.Name, "method", e.request.Method, "error", brief(ours.Message), "failure", id)
	return &rpc.Error{Kind: ours.Kind, NotStarted: ours.NotStarted, Message: refusal.Hidden(what, id)}
}

// refusedBy returns the error for a message that an interceptor refused with err.
func (d *Dispatcher) refusedBy(ctx context.Context, r *Request, err error) *rpc.Error {
	if !d.config.Discreet {
		return refusal.By(ctx, err)
	}
	return refusal.Discreetly(ctx, err, func(id, text string) {
		d.config.Log.WarnContext(ctx, "interceptor refused a message", "server", d.config.Name, "method", r.Method, "error", brief(text), "failure", id)
	})
}
