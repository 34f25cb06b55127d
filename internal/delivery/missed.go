package delivery

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// isUnsendable reports whether no server missed the message, although it failed: its content could
// not be sent, its sender stopped it, or the server denied it to the sender.
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
		// A call that was sent most likely waits or runs at the server. A cast that had arrived
		// would have been answered at once.
		return e.Server == "" && (e.NotStarted || m.Cast)
	default:
		return false
	}
}
