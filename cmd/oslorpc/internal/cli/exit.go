package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The exit codes that are used by name in the code; exits lists all of them.
const (
	ExitUnexpected   = 1
	ExitUsage        = 2
	ExitNotDelivered = 3
	ExitTimedOut     = 4
	ExitInterrupted  = 130 // the code of shells
)

const interrupted = "interrupted by a signal"

// exits lists each exit code with its meaning and the kinds of errors that have it.
var exits = []struct {
	code    int
	meaning string
	kinds   []rpc.Kind
}{
	{0, "done", nil},
	{ExitUnexpected, "unexpected error", []rpc.Kind{rpc.Unknown}},
	{ExitUsage, "the command line or the transport URL is wrong; nothing was sent",
		[]rpc.Kind{rpc.Invalid, rpc.InvalidTarget, rpc.VersionCapExceeded}},
	{ExitNotDelivered, "not delivered: no server took the message, and it did not run",
		[]rpc.Kind{rpc.NoInstance, rpc.Refused, rpc.Unreachable, rpc.Untrusted}},
	{ExitTimedOut, "timed out: the message may have run, unless the error says otherwise", []rpc.Kind{rpc.Timeout, rpc.MonitorTimeout}},
	{5, "remote error: the method ran and failed", []rpc.Kind{rpc.Remote}},
	{6, "outcome unknown: the server was lost, and the message may have run", []rpc.Kind{rpc.OutcomeUnknown}},
	{7, "not served: no server has the method, or not at this version", []rpc.Kind{rpc.UnsupportedVersion, rpc.NoSuchMethod}},
	{8, "bad arguments: they do not fit the method, and it did not run", []rpc.Kind{rpc.BadArguments}},
	{9, "the message or its result is too large, or the result is malformed", []rpc.Kind{rpc.TooLarge, rpc.BadResult}},
	{10, "access denied", []rpc.Kind{rpc.AccessDenied}},
	{ExitInterrupted, interrupted, []rpc.Kind{rpc.Canceled}},
}

// ExitCode returns the exit code for an error.
func ExitCode(err error) int {
	if answer, is := errors.AsType[*answerError](err); is {
		return answer.code
	}
	if _, wrong := errors.AsType[*usageError](err); wrong {
		return ExitUsage
	}
	for _, e := range exits {
		if slices.Contains(e.kinds, rpc.KindOf(err)) {
			return e.code
		}
	}
	return ExitUnexpected // a kind that is newer than this table
}

// ExitHelp returns the table of exit codes for the help.
func ExitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return b.String()
}
