package delivery

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// isUnsendable reports whether a message was not sent because of its content, or because its sender
// stopped it: no server could have got it. A server that denies a message to its sender does not
// miss it either.
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

// missed reports whether the server that the message was meant for may not have got it, if err is
// what came of it. A message that was canceled or stopped is its sender's own doing. Any answer of
// the server but a refusal shows that the server got it.
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
		// A call that was sent most likely waits or runs; a cast would have been accepted.
		return e.Server == "" && (e.NotStarted || m.Cast)
	default:
		return false
	}
}
