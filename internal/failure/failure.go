// Package failure makes changed copies of errors. An *rpc.Error must not be changed once it was
// returned, since several goroutines may have it.
package failure

import (
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// With returns a changed copy of the *rpc.Error in err. It returns err if there is none.
func With(err error, change func(e *rpc.Error)) error {
	ours, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	changed := *ours
	change(&changed)
	return &changed
}

// Name returns a copy of an error with the target and the method of a message.
func Name(err error, target rpc.Target, method string) error {
	return With(err, func(e *rpc.Error) { e.Target, e.Method = target, method })
}

// NotStarted returns a copy of an error that says that the method did not run.
func NotStarted(err error) error {
	return With(err, func(e *rpc.Error) { e.NotStarted = true })
}

// Invalid returns the error for a wrong use of the library.
func Invalid(format string, args ...any) error {
	return &rpc.Error{Kind: rpc.Invalid, Message: fmt.Sprintf(format, args...), NotStarted: true}
}

// Text returns the message of an *rpc.Error without its kind, target and method, for use in the
// text of another error. For other errors, it returns err.Error().
func Text(err error) string {
	if e, ok := errors.AsType[*rpc.Error](err); ok && e.Message != "" {
		return e.Message
	}
	return err.Error()
}
