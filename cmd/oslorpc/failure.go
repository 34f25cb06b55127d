package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// hinted is an error with advice that only the command line can give.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without the advice.
func (h *hinted) Unwrap() error { return h.error }

// summary says how many messages failed, after each has been reported. It counts as the first of their errors.
type summary struct {
	message string
	first   error
}

// Error returns the message.
func (s *summary) Error() string { return s.message }

// Unwrap returns the first error.
func (s *summary) Unwrap() error { return s.first }

// failure is an error as programs see it, on standard error.
type failure struct {
	Kind        string  `json:"kind"`
	Message     string  `json:"message"`
	Hint        string  `json:"hint,omitempty"`
	ExitCode    int     `json:"exit_code"`
	SafeToRetry bool    `json:"safe_to_retry"`
	Path        string  `json:"path,omitempty"`
	Server      string  `json:"server,omitempty"`
	InstanceID  string  `json:"instance_id,omitempty"`
	Address     string  `json:"address,omitempty"`
	Remote      *remote `json:"remote,omitempty"`

	method string // empty if the error is not about a message
}

type remote struct {
	Type    string   `json:"type"`
	Message string   `json:"message"`
	Stack   []string `json:"stack,omitempty"`
	Hops    []string `json:"hops,omitempty"`
}

func newFailure(err error) *failure {
	f := &failure{
		Kind: oslorpc.KindOf(err).Name(), Message: err.Error(), ExitCode: exitCode(err), SafeToRetry: oslorpc.SafeToRetry(err),
	}
	if e, ok := errors.AsType[*oslorpc.Error](err); ok {
		f.Path, f.Server, f.InstanceID, f.Address, f.method = e.Path, e.Server, e.InstanceID, e.Addr, e.Method
	}
	if r, ok := errors.AsType[*oslorpc.RemoteError](err); ok {
		f.Remote = &remote{Type: r.Type, Message: r.Message, Stack: r.Stack, Hops: r.Hops}
	}
	if wrong, ok := errors.AsType[*usageError](err); ok {
		f.Kind, f.SafeToRetry, f.Hint = "Usage", true, wrong.advice()
	} else {
		f.Hint = f.advice(err)
	}
	if answer, is := errors.AsType[*answerError](err); is && answer.kind != "" {
		f.Kind, f.SafeToRetry = answer.kind, true
	}
	return f
}

// advice returns what a person needs to know beyond the message.
func (f *failure) advice(err error) string {
	var h *hinted
	var s *summary
	switch {
	case errors.As(err, &s):
		return ""
	case errors.As(err, &h):
		return h.hint
	case f.Remote != nil && len(f.Remote.Stack) > 0:
		return "--output json has the stack"
	}
	if code := f.ExitCode; f.method == "" || (code != exitTimedOut && code != exitInterrupted) {
		return ""
	}
	switch told := strings.Contains(f.Message, "may have run") || strings.Contains(f.Message, "before it was sent"); {
	case told:
		return ""
	case f.SafeToRetry:
		return "it did not run"
	default:
		return "it may have run"
	}
}

// text returns the failure on one line.
func (f *failure) text() string {
	if f.Hint == "" {
		return oneLine(f.Message)
	}
	return oneLine(f.Message + "; " + f.Hint)
}

// report writes an error to standard error.
func (p *program) report(err error) {
	f := newFailure(err)
	if p.inJSON() {
		_ = writeJSON(p.errs, f) // there is nowhere left to say that this failed
		return
	}
	fmt.Fprintln(p.errs, "oslorpc:", f.text())
}

// notef tells a person something on standard error that is no error.
func (p *program) notef(format string, args ...any) {
	if !p.inJSON() {
		fmt.Fprintln(p.errs, "oslorpc:", oneLine(fmt.Sprintf(format, args...)))
	}
}
