package refusal

import (
	"context"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Denied returns an error of kind AccessDenied for a message that did not run.
func Denied(message string) *rpc.Error {
	return &rpc.Error{Kind: rpc.AccessDenied, Message: message, NotStarted: true}
}

// By returns the error for a message that an interceptor of a server refused with err. The message
// has not run. Ctx is the context of the interceptor. If the Error method of err panics, as for a
// nil pointer in an error interface, By returns an error of kind AccessDenied.
func By(ctx context.Context, err error) (refused *rpc.Error) {
	defer func() {
		if p := recover(); p != nil {
			refused = Denied(fmt.Sprintf("the error of an interceptor cannot be read: %v", p))
		}
	}()
	switch {
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return &rpc.Error{Kind: rpc.Timeout, NotStarted: true, Message: "the deadline passed in an interceptor, before the method ran"}
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return &rpc.Error{Kind: rpc.Canceled, NotStarted: true, Message: "the caller went away while an interceptor had the message, before the method ran"}
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return Denied(err.Error())
	}
	message := err.Error()
	if e == err && e.Message != "" { //nolint:errorlint // A wrapper has a text of its own.
		message = e.Message
	}
	switch e.Kind {
	case rpc.Refused, rpc.Timeout: // another server may accept the message, or be faster
		return &rpc.Error{Kind: rpc.Refused, Message: message, Cause: Declined, NotStarted: true}
	case rpc.AccessDenied, rpc.InvalidTarget, rpc.BadArguments, rpc.TooLarge:
		return &rpc.Error{Kind: e.Kind, Message: message, Path: e.Path, NotStarted: true}
	default:
		return Denied(message)
	}
}
