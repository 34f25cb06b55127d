package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// answerMark is the annotation of commands whose exit code is their answer, like grep's. For these
// commands, errors must have other exit codes than the answers.
const answerMark = "oslorpc/answers"

// MarkAnswering marks a command whose exit code is its answer.
func MarkAnswering(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[answerMark] = "yes"
}

// The exit codes of commands whose exit code is their answer.
const (
	ExitYes        = 0
	ExitNotYet     = 1
	ExitCannotTell = 2
	ExitMisused    = 64 // EX_USAGE of sysexits.h
)

// answerExits lists these codes with their meanings, for the help.
var answerExits = []struct {
	code    int
	meaning string
}{
	{ExitYes, "safe"},
	{ExitNotYet, "not yet: servers or callers are in the way"},
	{ExitCannotTell, "cannot tell: something is not known, or a server did not answer"},
	{ExitMisused, "the command line or the transport URL is wrong; no server was asked"},
	{ExitInterrupted, interrupted},
}

// AnswerHelp returns the table of these exit codes for people.
func AnswerHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes of this command; other commands have others:")
	for _, e := range answerExits {
		fmt.Fprintf(&b, "\n  %3d  %s", e.code, e.meaning)
	}
	return b.String()
}

// answerError is the error that [Answer] returns.
type answerError struct {
	error
	kind string // for programs; empty for the kind of the error
	code int
}

// Answer returns an error that ends a command with a negative answer. Kind names the answer in JSON
// output.
func Answer(kind string, code int, err error) error {
	return &answerError{error: err, kind: kind, code: code}
}

// Unwrap returns the error without the exit code.
func (a *answerError) Unwrap() error { return a.error }

// asAnswer changes the exit code of an error of a command whose exit code is its answer, because an
// error is not an answer.
func asAnswer(cmd *cobra.Command, err error) error {
	if _, is := errors.AsType[*answerError](err); is || cmd == nil || cmd.Annotations[answerMark] == "" {
		return err
	}
	switch ExitCode(err) {
	case ExitUsage:
		return &answerError{error: err, code: ExitMisused}
	case ExitInterrupted:
		return err
	}
	return &answerError{error: err, code: ExitCannotTell}
}
