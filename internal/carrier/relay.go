package carrier

import "context"

// Relay is a [Link] that can send messages without a goroutine that waits for their answers, for
// processes that pass on messages of others.
type Relay interface {
	// Begin sends a message, and has w told what came of it. It returns nil if it did not send the
	// message, since that would have to wait, or for any other reason: then Do may send it, and w is
	// not told. Nothing must use r until w was told. The caller has entered.
	//
	// The message leaves with the next Drain of what it goes through.
	Begin(ctx context.Context, r *Request, w Waiter) Begun
}

// Begun is a message that was sent, or is about to be.
type Begun interface {
	// Through returns what the message goes through: the same for all messages on one stream.
	Through() Drainer
	// Leave has the waiter told that ctx has ended, unless it was told something else.
	Leave()
}

// Waiter is told what came of a message: one of its methods is called, once. They are called by the
// goroutine that receives for all messages, and must not wait.
type Waiter interface {
	// Answered says what Do would have returned. What it returns is drained once all answers that
	// came at the same time were told; nil for nothing.
	Answered(reply Reply, err error) Drainer
	// Unsent says that the message was not sent, and may travel otherwise.
	Unsent()
}

// Drainer is something that sends what waits in it, without waiting itself. Drainers are
// comparable.
type Drainer interface{ Drain() }
