package carrier

import "context"

// Relay is a [Link] that can send messages without a waiting goroutine for each. It is for
// processes that forward messages of others.
type Relay interface {
	// Begin sends a message, and has w told the outcome. It returns nil if it did not send the
	// message, because it would have to wait or for any other reason. Do may then send the message,
	// and w is not told. R must not be used until w was told. The caller has entered.
	//
	// The message leaves with the next Drain of the drainer that Through returns.
	Begin(ctx context.Context, r *Request, w Waiter) Begun
}

// Begun is a message that was sent, or is about to be.
type Begun interface {
	// Through returns the drainer of the message. It is the same for all messages on one stream.
	Through() Drainer
	// Leave tells the waiter that ctx has ended, unless the waiter was told something else.
	Leave()
}

// Waiter is told the outcome of a message. Exactly one of its methods is called, once. The
// goroutine that receives for all messages calls it, so it must not block.
type Waiter interface {
	// Answered gets what Do would have returned. The drainer that it returns is drained after all
	// answers of one batch were told; nil for none.
	Answered(reply Reply, err error) Drainer
	// Unsent says that the message was not sent. It may be sent another way.
	Unsent()
}

// Drainer sends its queued data without blocking. Drainers are comparable.
type Drainer interface{ Drain() }
