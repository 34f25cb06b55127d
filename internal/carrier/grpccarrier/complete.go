package grpccarrier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// complete adds information to an error that only this end has: its limits, its deadline, and
// whether the carrier was closed.
func (e *evidence) complete(ctx context.Context, ours *rpc.Error) {
	switch {
	case ours.Kind == rpc.TooLarge && ours.Cause != nil: // without a detail
		e.explainSize(ours)
	case ours.Kind == rpc.Canceled && isOver(ctx):
		ours.Kind, ours.Message = rpc.Timeout, "the deadline passed: "+ours.Message
	case ctx.Err() != nil:
	case ours.Kind == rpc.Canceled:
		e.canceledByOthers(ours)
	case ours.Kind == rpc.Timeout && isEarly(ctx):
		e.endedEarly(ours)
	}
}

// explainSize completes gRPC's own error for a message that is too large. Both ends produce the
// same text, except for the limit. Since no request exceeds our own limit, an error with at least
// that limit is about the response.
func (e *evidence) explainSize(ours *rpc.Error) {
	const sign = "larger than max ("
	var size, limit int
	_, text, _ := strings.Cut(ours.Message, sign)
	if _, err := fmt.Sscanf(text, "%d vs. %d", &size, &limit); err != nil || limit < e.carrier.config.MaxSize {
		return
	}
	ours.Message = fmt.Sprintf(
		"the method ran, and its result has %d bytes where this client takes %d: ask for less at a time, or raise MessageSize with WithLimits", size, limit)
}

// isOver reports whether the deadline of ctx has passed, or will pass in a moment, and the caller
// did not cancel. Both ends have a timer. If the server's timer fires first, it cancels the RPC.
func isOver(ctx context.Context) bool {
	const timers = 50 * time.Millisecond
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < timers && !errors.Is(ctx.Err(), context.Canceled)
}

// isEarly reports whether the deadline of ctx is so far away that a difference between clocks
// cannot explain that it passed.
func isEarly(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > time.Second
}

// endedEarly completes the error of an RPC that ended with "deadline exceeded" long before its
// deadline.
func (e *evidence) endedEarly(ours *rpc.Error) {
	switch {
	case ours.NotStarted && e.reached(): // another server may see it otherwise
		ours.Kind = rpc.Refused
		ours.Message = "the server says that the deadline passed before the method started, although it did not: " + ours.Message
	case !ours.NotStarted && ours.Cause != nil: // without a detail
		ours.Message = "the server, or a proxy before it, ended the RPC as if its deadline had passed; the method may have run"
	}
}

// closedBefore is the message of errors for messages that were not sent because the carrier was
// closed.
const closedBefore = "the transport was closed before it was sent"

// canceledByOthers completes the error of an RPC that ended with "canceled" although its caller did
// not cancel it.
func (e *evidence) canceledByOthers(ours *rpc.Error) {
	closed := e.carrier.closed.Load()
	switch {
	case closed && ours.NotStarted:
		ours.Kind, ours.Message = rpc.Invalid, closedBefore
	case closed:
		ours.Kind, ours.Message = rpc.OutcomeUnknown, "the transport was closed before the answer came; the method may have run"
	case !ours.NotStarted:
		ours.Kind = rpc.OutcomeUnknown
		ours.Message = "the server, or a proxy before it, canceled the RPC; the method may have run"
	case e.reached():
		ours.Kind, ours.Message = rpc.Refused, "the server canceled the RPC before the method started"
	}
}
