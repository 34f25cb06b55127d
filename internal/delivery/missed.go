package delivery

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// isUnsendable reports whether a message was not sent because of its content, or because its sender
// stopped it: no server could have received it. Nor did a server miss a message that it denied to
// the sender.
func isUnsendable(err error) bool {
	if isEnd(err) {
		return true
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || !e.NotStarted {
		return false
	}
	switch e.Kind {
	case rpc.AccessDenied:
		return true
	case rpc.BadArguments, rpc.TooLarge, rpc.Invalid:
		return e.Server == ""
	default:
		return false
	}
}

// missed reports whether the intended server may not have received the message, given its error. A
// message that its sender canceled or stopped was not missed. Any answer of the server except a
// refusal shows that the server received it.
func (m *Message) missed(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || isEnd(err) {
		return false
	}
	switch e.Kind {
	case rpc.NoInstance, rpc.Refused, rpc.Unreachable, rpc.Untrusted:
		return true
	case rpc.OutcomeUnknown, rpc.MonitorTimeout:
		return e.Server == ""
	case rpc.Timeout:
		// A call that was sent most likely waits or runs. A cast would have been accepted.
		return e.Server == "" && (e.NotStarted || m.Cast)
	default:
		return false
	}
}
