package intake

import (
	"cmp"
	"context"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Relayer is a [Forwarder] that can forward messages without a goroutine that waits for the answer
// of each.
type Relayer interface {
	Forwarder

	// Begin is Call, or Cast, whose waiter is told what came of the message. It returns nil, and
	// forwards nothing, if something would have to be waited for.
	Begin(ctx context.Context, m *Message, cast bool, w Waiter) Begun
}

// Begun is a message that is about to be forwarded.
type Begun interface {
	// Through returns what the message leaves with at its next Drain: the same for all messages to
	// one process.
	Through() Drainer
	// Leave has the waiter told that ctx has ended, unless it was told something else.
	Leave()
}

// Waiter is told what came of a message: one of its methods is called, once. They must not wait.
type Waiter interface {
	// Answered says what Call would have returned. What it returns is drained once all answers that
	// came at the same time were told; nil for nothing.
	Answered(result string, err error) Drainer
	// Unsent says that the message was not forwarded, and may take the usual way.
	Unsent()
}

// Drainer is something that sends what waits in it, without waiting itself. Drainers are
// comparable.
type Drainer interface{ Drain() }

// Relays reports whether [Intake.Begin] may forward messages.
func (i *Intake) Relays() bool {
	_, can := i.config.Forward.(Relayer)
	return can && len(i.accepts) == 0 && i.config.CallTime == 0
}

// Begin is Call, or Cast, for a message that is forwarded to an instance, and whose end the context
// says. It waits for nothing, and w is told what came of the message. Without an error, it returns
// nil if the message is to take the usual way. Call it only if Relays says so.
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
		return nil, nil //nolint:nilerr // It takes the usual way, which says what is wrong.
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

// Again has a message take the usual way that [Intake.Begin] did not forward after all.
func (m *Message) Again() { m.meant, m.Behalf = nil, cmp.Or(m.Behalf, m.said) }

// isForOthers reports whether a message is for an instance of another process, and has nothing
// unusual.
func (i *Intake) isForOthers(m *Message) bool {
	if m.InstanceID == "" || m.Content != nil || m.Missed != nil || m.Remaining != nil || m.check() != nil || i.behalf(m) != nil || i.fits(m) != nil {
		return false
	}
	s, _ := i.find(m)
	return s == nil
}

// Relayed returns the error of a message that [Intake.Begin] forwarded, given what its waiter was
// told; nil if the result may be sent.
func (i *Intake) Relayed(m *Message, result string, err error) error {
	if err == nil {
		err = i.sendable(result)
	}
	return m.Sign(err)
}
