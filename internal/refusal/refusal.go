// Package refusal says why a server did not accept a message. Both ends use it: package dispatch
// refuses messages, and package delivery decides from a refusal where to send the message next.
package refusal

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Reason is why a server did not accept a message. It is the cause of an error of kind rpc.Refused.
type Reason string

// These are the reasons.
const (
	Full        Reason = "its queue is full"
	Stopping    Reason = "it is stopping"
	Misdirected Reason = "it is not the intended instance"
	// Declined means that an interceptor refused the message. Another server may accept it.
	Declined Reason = "one of its interceptors refused it"
	// Foreign is never sent. A client uses it for an answer that no server of oslorpc gives.
	Foreign Reason = "another program has its address"
)

// Error returns the reason in words.
func (r Reason) Error() string { return string(r) }

// New returns the error for a message that a server does not accept.
func New(why Reason) *rpc.Error {
	return &rpc.Error{Kind: rpc.Refused, Message: string(why), Cause: why, NotStarted: true}
}

// TooFast returns the error for a message of a caller that sends too many messages a second.
func TooFast() *rpc.Error {
	e := New(Full)
	e.Message = "the caller sends more messages a second than the server takes from one"
	return e
}

// Gone reports whether err means that the instance is stopping, or is not in the process at its
// address, even if discovery still lists it.
func Gone(err error) bool { return errors.Is(err, Stopping) || errors.Is(err, Misdirected) }

// Misled reports whether err means that another process of oslorpc, or another program, answered at
// the address of an instance. Then the connection is wrong; the instance itself may be healthy.
func Misled(err error) bool { return errors.Is(err, Misdirected) || errors.Is(err, Foreign) }

// errUnproven is the cause of an error about a server that proved a wrong name.
var errUnproven = errors.New("it does not prove its name")

// NotProven returns the cause of an error of kind rpc.Untrusted for a server whose certificate does
// not have the name that the identity template requires.
func NotProven() error { return errUnproven }

// Unproven reports whether err means that an instance proved a wrong name.
func Unproven(err error) bool { return errors.Is(err, errUnproven) }

// headersTooLarge is the cause of an error for a message whose headers are too large for one
// instance. Another instance may accept them.
type headersTooLarge struct{ error }

// Unwrap returns the error of the carrier.
func (h headersTooLarge) Unwrap() error { return h.error }

// TooLargeHeaders marks an error as caused by headers that are too large for one instance.
func TooLargeHeaders(err error) error { return headersTooLarge{err} }

// HeadersTooLarge reports whether TooLargeHeaders marked err.
func HeadersTooLarge(err error) bool {
	_, ok := errors.AsType[headersTooLarge](err)
	return ok
}
