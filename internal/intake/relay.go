package intake

import (
	"cmp"
	"context"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Relayer is a [Forwarder] that can forward messages without a goroutine that waits for each
// answer.
type Relayer interface {
	Forwarder

	// Begin is Call or, if cast is true, Cast, but it returns at once and calls w with the outcome.
	// It returns nil, and forwards nothing, if it would have to wait.
	Begin(ctx context.Context, m *Message, cast bool, w Waiter) Begun
}

// Begun is a message that is about to be forwarded.
type Begun interface {
	// Through returns the drainer that sends the message at its next Drain. All messages to one
	// process have the same drainer.
	Through() Drainer
	// Leave gives the message up because ctx has ended. It calls the waiter, unless the waiter was
	// called before.
	Leave()
}

// Waiter gets the outcome of a message. Exactly one of its methods is called, once. They must not
// block.
type Waiter interface {
	// Answered gets the values that Call would have returned. After all answers of a batch, the
	// caller drains the drainer that Answered returned; nil for none.
	Answered(result string, err error) Drainer
	// Unsent says that the message was not forwarded. The receiver may forward it by Call or Cast.
	Unsent()
}

// Drainer sends its queued data without blocking. Drainers are comparable.
type Drainer interface{ Drain() }

// Relays reports whether [Intake.Begin] may forward messages.
func (i *Intake) Relays() bool {
	_, can := i.config.Forward.(Relayer)
	return can && len(i.accepts) == 0 && i.config.CallTime == 0
}

// Begin is Call or, if cast is true, Cast for a message that is forwarded to an instance. It never
// waits, and calls w with the outcome. Ctx bounds the message. If both results are nil, nothing was
// forwarded: use [Message.Again], and then Call or Cast. Call Begin only if Relays returns true.
func (i *Intake) Begin(ctx context.Context, m *Message, cast bool, w Waiter) (begun Begun, err error) {
	as := rpc.DeliveryCall
	if cast {
		as = rpc.DeliveryCast
	}
	if !i.isForOthers(m) {
		return nil, nil
	}
	relayer := i.config.Forward.(Relayer) //nolint:forcetypeassert // Relays says so.
	meant, refused := relayer.Meant(m)
	if refused != nil {
		return nil, nil //nolint:nilerr // Call and Cast return the error.
	}
	m.meant = &meant
	if err := i.guard(ctx, m, nil, as); err != nil {
		return nil, err
	}
	m.entered, m.Delivery, m.Instance = true, as, m.meant
	if begun = relayer.Begin(ctx, m, cast, w); begun == nil {
		return nil, nil
	}
	return begun, nil
}

// Again prepares a message that [Intake.Begin] did not forward for Call or Cast.
func (m *Message) Again() { m.meant, m.Behalf = nil, cmp.Or(m.Behalf, m.said) }

// isForOthers reports whether a message is valid, is for an instance of another process, and has
// nothing that Begin does not support.
func (i *Intake) isForOthers(m *Message) bool {
	if m.InstanceID == "" || m.Content != nil || m.Missed != nil || m.Remaining != nil || m.check() != nil || i.behalf(m) != nil || i.fits(m) != nil {
		return false
	}
	s, _ := i.find(m)
	return s == nil
}

// Relayed returns the error for the sender of a message that [Intake.Begin] forwarded, given the
// outcome that the waiter got. It returns nil if the result may be sent.
func (i *Intake) Relayed(m *Message, result string, err error) error {
	if err == nil {
		err = i.sendable(result)
	}
	return m.Sign(err)
}
