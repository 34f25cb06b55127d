package intake

import (
	"cmp"
	"context"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Relayer is a [Forwarder] that can forward messages without a waiting goroutine for each.
type Relayer interface {
	Forwarder

	// Begin is Call, or Cast, but tells the outcome to a waiter. It returns nil, and forwards nothing,
	// if it would have to wait.
	Begin(ctx context.Context, m *Message, cast bool, w Waiter) Begun
}

// Begun is a message that is about to be forwarded.
type Begun interface {
	// Through returns the drainer whose next Drain sends the message. It is the same for all messages
	// to one process.
	Through() Drainer
	// Leave tells the waiter that ctx has ended, unless the waiter was told something else.
	Leave()
}

// Waiter is told the outcome of a message. Exactly one of its methods is called, once. They must
// not block.
type Waiter interface {
	// Answered gets what Call would have returned. The drainer that it returns is drained after all
	// answers of one batch were told; nil for none.
	Answered(result string, err error) Drainer
	// Unsent says that the message was not forwarded. It may take the usual way.
	Unsent()
}

// Drainer sends its queued data without blocking. Drainers are comparable.
type Drainer interface{ Drain() }

// Relays reports whether [Intake.Begin] may forward messages.
func (i *Intake) Relays() bool {
	_, can := i.config.Forward.(Relayer)
	return can && len(i.accepts) == 0 && i.config.CallTime == 0
}

// Begin is Call, or Cast, for a message that is forwarded to an instance. It never waits: w is told
// the outcome. Ctx bounds the message. If both results are nil, the message must take the usual
// way. Call Begin only if Relays returns true.
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

// Again prepares a message that [Intake.Begin] did not forward for the usual way.
func (m *Message) Again() { m.meant, m.Behalf = nil, cmp.Or(m.Behalf, m.said) }

// isForOthers reports whether a message is for an instance of another process, and needs no special
// treatment.
func (i *Intake) isForOthers(m *Message) bool {
	if m.InstanceID == "" || m.Content != nil || m.Missed != nil || m.Remaining != nil || m.check() != nil || i.behalf(m) != nil || i.fits(m) != nil {
		return false
	}
	s, _ := i.find(m)
	return s == nil
}

// Relayed returns the error of a message that [Intake.Begin] forwarded, for the outcome that its
// waiter was told. It returns nil if the result may be sent.
func (i *Intake) Relayed(m *Message, result string, err error) error {
	if err == nil {
		err = i.sendable(result)
	}
	return m.Sign(err)
}
