package dispatch

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Accountant is an [Origin] that accounts for the memory of large answers.
type Accountant interface {
	// Reserve waits until the sender may have about n more bytes of answers outstanding. Alone
	// means that the message has only one answer. An error means that the sender is gone.
	Reserve(n int, alone bool) error
	// Answer is Reserve for an answer of exactly n bytes. It uses an earlier reservation.
	Answer(n int, alone bool) error
	// Admit returns an error if a JSON text is too deep or too large to be decoded. It waits until
	// there is memory for a large one. If cast is true and ended is not nil, the caller must call
	// ended when the message has ended, because a cast outlives the RPC that brought it.
	Admit(ctx context.Context, text string, cast bool) (ended func(), err error)
}

// smallAnswer is the size, in bytes, below which answers are not accounted for. The number of open
// RPCs bounds them.
const smallAnswer = 16 << 10

// Reserve waits until the sender of the message that ctx belongs to may have about n more bytes of
// answers outstanding. The method keeps its worker while it waits, so a sender that does not read
// its answers cannot make more methods run.
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

// Answer is Reserve for a complete answer of n bytes. Call it just before the answer is passed to
// the carrier.
func (r *Request) Answer(n int) error {
	if n < smallAnswer {
		return nil
	}
	if a, ok := r.Origin.(Accountant); ok {
		return gone(a.Answer(n, r.isAlone()))
	}
	return nil
}

// isAlone reports whether the message has exactly one answer.
func (r *Request) isAlone() bool { return r.Delivery == rpc.DeliveryCall }

func gone(err error) error {
	if err == nil {
		return nil
	}
	return &rpc.Error{Kind: rpc.Canceled, Cause: err, Message: "the method ran, and the caller left before it could receive the result"}
}
