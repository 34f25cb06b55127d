package dispatch

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Accountant is an [Origin] that accounts for the memory of large answers.
type Accountant interface {
	// Reserve waits until there is room for about n more bytes of an answer to the sender. Alone says
	// that it is the only answer. An error means that the sender is gone.
	Reserve(n int, alone bool) error
	// Answer is Reserve for an answer of exactly n bytes. It uses an earlier reservation.
	Answer(n int, alone bool) error
	// Admit returns an error if a JSON text must not be decoded. It waits until there is room for a
	// large one. Cast says that the message outlives its carrier; then the caller must call ended,
	// unless it is nil, when the message has ended.
	Admit(ctx context.Context, text string, cast bool) (ended func(), err error)
}

// smallAnswer is the size, in bytes, below which answers are not accounted for. The number of open
// RPCs bounds them.
const smallAnswer = 16 << 10

// Reserve waits until there is room for about n more bytes of an answer to the message that the
// method of ctx runs for. The method keeps its worker while it waits, so no more methods run for a
// sender that does not read.
func Reserve(ctx context.Context, n int) error {
	c := runOf(ctx)
	if c == nil || n < smallAnswer {
		return nil
	}
	if a, ok := c.request.Origin.(Accountant); ok {
		return gone(a.Reserve(n, c.request.isAlone()))
	}
	return nil
}

// Answer is Reserve for an answer that has n bytes and is handed to the carrier next.
func (r *Request) Answer(n int) error {
	if n < smallAnswer {
		return nil
	}
	if a, ok := r.Origin.(Accountant); ok {
		return gone(a.Answer(n, r.isAlone()))
	}
	return nil
}

// isAlone reports whether the message has one answer.
func (r *Request) isAlone() bool { return r.Delivery == rpc.DeliveryCall }

func gone(err error) error {
	if err == nil {
		return nil
	}
	return &rpc.Error{Kind: rpc.Canceled, Cause: err, Message: "the method ran, and the caller went away before it could have the result"}
}
