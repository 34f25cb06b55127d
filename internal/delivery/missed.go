package delivery

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// isUnsendable reports whether a message was not sent because of its content: no server could have
// got it.
func isUnsendable(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || !e.NotStarted || e.Server != "" {
		return false
	}
	return e.Kind == rpc.BadArguments || e.Kind == rpc.TooLarge || e.Kind == rpc.Invalid
}

// missed reports whether the server that the message was meant for may not have got it, if err is what came of it. That it was
// canceled is its sender's own doing, and whatever else a server answered than a refusal shows that it got it.
func (m *Message) missed(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return false
	}
	switch e.Kind {
	case rpc.NoInstance, rpc.Refused, rpc.Unreachable:
		return true
	case rpc.OutcomeUnknown, rpc.MonitorTimeout:
		return e.Server == ""
	case rpc.Timeout:
		// A call that was sent most likely waits or runs; a cast would have been accepted.
		return e.Server == "" && (e.NotStarted || m.Cast)
	default:
		return false
	}
}
