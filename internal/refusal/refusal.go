// Package refusal says why a server did not take a message. Both ends use it: dispatch refuses, and
// delivery concludes from a refusal where else the message may go.
package refusal

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Reason is why a server did not take a message. It is the cause of an error of kind rpc.Refused.
type Reason string

// The reasons.
const (
	Full        Reason = "its queue is full"
	Stopping    Reason = "it is stopping"
	Misdirected Reason = "it is not the instance meant"
	// Declined: an interceptor does not want the message here. Another server may take it.
	Declined Reason = "one of its interceptors refused it"
	// Foreign is never sent: a client concludes it from an answer that no server of oslorpc gives.
	Foreign Reason = "another program has its address"
)

// Error returns the reason in words.
func (r Reason) Error() string { return string(r) }

// New returns the error for a message that a server does not take.
func New(why Reason) *rpc.Error {
	return &rpc.Error{Kind: rpc.Refused, Message: string(why), Cause: why, NotStarted: true}
}

// TooFast returns the error for a message of a caller that sends too many a second.
func TooFast() *rpc.Error {
	e := New(Full)
	e.Message = "the caller sends more messages a second than the server takes from one"
	return e
}

// Gone reports whether err says that the instance is not there any more, whatever discovery says.
func Gone(err error) bool { return errors.Is(err, Stopping) || errors.Is(err, Misdirected) }

// Misled reports whether err says that the address of an instance led to something else: to another
// process of oslorpc, or to another program. That blames the connection; the instance itself may be
// well.
func Misled(err error) bool { return errors.Is(err, Misdirected) || errors.Is(err, Foreign) }

// errUnproven is the cause of an error about a server that proved another name than its own.
var errUnproven = errors.New("it does not prove its name")

// NotProven is the cause of an error of kind rpc.Untrusted for a server whose certificate has
// another name than an identity template wants.
func NotProven() error { return errUnproven }

// Unproven reports whether err says that an instance proved another name than its own.
func Unproven(err error) bool { return errors.Is(err, errUnproven) }

// headersTooLarge is the cause of an error for a message whose headers are larger than one instance
// takes. Another may take them.
type headersTooLarge struct{ error }

// Unwrap returns what the carrier said.
func (h headersTooLarge) Unwrap() error { return h.error }

// TooLargeHeaders marks why a carrier could not send headers of this size to one instance.
func TooLargeHeaders(err error) error { return headersTooLarge{err} }

// HeadersTooLarge reports whether err is about headers that are larger than one instance takes.
func HeadersTooLarge(err error) bool {
	_, ok := errors.AsType[headersTooLarge](err)
	return ok
}
