package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The exit codes that are needed by name.
const (
	exitUnexpected  = 1
	exitUsage       = 2
	exitTimedOut    = 4
	exitInterrupted = 130 // as shells have it
)

const interrupted = "interrupted by a signal"

// exits is what each exit code means, and the kinds of errors that it stands for.
var exits = []struct {
	code    int
	meaning string
	kinds   []rpc.Kind
}{
	{0, "done", nil},
	{exitUnexpected, "unexpected error", []rpc.Kind{rpc.Unknown}},
	{exitUsage, "the command line or the transport URL is wrong; nothing was sent",
		[]rpc.Kind{rpc.Invalid, rpc.InvalidTarget, rpc.VersionCapExceeded}},
	{3, "not delivered: no server took the message, and it did not run",
		[]rpc.Kind{rpc.NoInstance, rpc.Refused, rpc.Unreachable}},
	{exitTimedOut, "timed out: the message may have run, unless the error says otherwise", []rpc.Kind{rpc.Timeout, rpc.MonitorTimeout}},
	{5, "remote error: the method ran and failed", []rpc.Kind{rpc.Remote}},
	{6, "outcome unknown: the server was lost, and the message may have run", []rpc.Kind{rpc.OutcomeUnknown}},
	{7, "not served: no server has the method, or not at this version", []rpc.Kind{rpc.UnsupportedVersion, rpc.NoSuchMethod}},
	{8, "bad arguments: they do not fit the method, and it did not run", []rpc.Kind{rpc.BadArguments}},
	{9, "the message or its result is too large, or the result is malformed", []rpc.Kind{rpc.TooLarge, rpc.BadResult}},
	{10, "access denied", []rpc.Kind{rpc.AccessDenied}},
	{exitInterrupted, interrupted, []rpc.Kind{rpc.Canceled}},
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	if answer, is := errors.AsType[*answerError](err); is {
		return answer.code
	}
	if _, wrong := errors.AsType[*usageError](err); wrong {
		return exitUsage
	}
	for _, e := range exits {
		if slices.Contains(e.kinds, rpc.KindOf(err)) {
			return e.code
		}
	}
	return exitUnexpected // of a kind that is newer than this table
}

// exitHelp is the table of exit codes for people.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return b.String()
}
