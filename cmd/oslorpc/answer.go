package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// answerMark marks commands whose exit code is their answer, as that of grep is: errors must not look like one.
const answerMark = "oslorpc/answers"

// The exit codes of such commands.
const (
	exitYes        = 0
	exitNotYet     = 1
	exitCannotTell = 2
	exitMisused    = 64 // as sysexits.h has it
)

// answerExits is what each of these codes means.
var answerExits = []struct {
	code    int
	meaning string
}{
	{exitYes, "safe"},
	{exitNotYet, "not yet: servers or callers are in the way"},
	{exitCannotTell, "cannot tell: something is not known, or could not be asked"},
	{exitMisused, "the command line or the transport URL is wrong; no server was asked"},
	{exitInterrupted, interrupted},
}

// answerHelp is the table of these exit codes for people.
func answerHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes, which are not those of other commands:")
	for _, e := range answerExits {
		fmt.Fprintf(&b, "\n  %3d  %s", e.code, e.meaning)
	}
	return b.String()
}

// answerError ends a command whose exit code is its answer.
type answerError struct {
	error
	kind string // for programs; empty if it is that of the error
	code int
}

// Unwrap returns the error without the exit code.
func (a *answerError) Unwrap() error { return a.error }

// asAnswer gives an error the exit code that it has for a command whose exit code is its answer: what went wrong leaves it open.
func asAnswer(cmd *cobra.Command, err error) error {
	if _, is := errors.AsType[*answerError](err); is || cmd == nil || cmd.Annotations[answerMark] == "" {
		return err
	}
	switch exitCode(err) {
	case exitUsage:
		return &answerError{error: err, code: exitMisused}
	case exitInterrupted:
		return err
	}
	return &answerError{error: err, code: exitCannotTell}
}
