package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// WithHint returns an error with advice that only the command line can give.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without the advice.
func (h *hinted) Unwrap() error { return h.error }

// Summary returns an error that sums up several errors, each of which has been reported. Its kind
// is the kind of the first.
func Summary(message string, first error) error { return &summary{message, first} }

// summary sums up several errors.
type summary struct {
	message string
	first   error
}

// Error returns the message.
func (s *summary) Error() string { return s.message }

// Unwrap returns the first error.
func (s *summary) Unwrap() error { return s.first }

// Failure is an error in the form that --output json writes to standard error.
type Failure struct {
	Kind        string  `json:"kind"`
	Message     string  `json:"message"`
	Hint        string  `json:"hint,omitempty"`
	ExitCode    int     `json:"exit_code"`
	SafeToRetry bool    `json:"safe_to_retry"`
	Path        string  `json:"path,omitempty"`
	Server      string  `json:"server,omitempty"`
	InstanceID  string  `json:"instance_id,omitempty"`
	Address     string  `json:"address,omitempty"`
	Remote      *Remote `json:"remote,omitempty"`

	method string // empty if the error is not about a message
}

// Remote is the failure of a remote method.
type Remote struct {
	Type    string   `json:"type"`
	Message string   `json:"message"`
	Stack   []string `json:"stack,omitempty"`
	Hops    []string `json:"hops,omitempty"`
}

// NewFailure converts an error to a failure.
func NewFailure(err error) *Failure {
	f := &Failure{
		Kind: oslorpc.KindOf(err).Name(), Message: err.Error(), ExitCode: ExitCode(err), SafeToRetry: oslorpc.SafeToRetry(err),
	}
	if e, ok := errors.AsType[*oslorpc.Error](err); ok {
		f.Path, f.Server, f.InstanceID, f.Address, f.method = e.Path, e.Server, e.InstanceID, e.Addr, e.Method
	}
	if r, ok := errors.AsType[*oslorpc.RemoteError](err); ok {
		f.Remote = &Remote{Type: r.Type, Message: r.Message, Stack: r.Stack, Hops: r.Hops}
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
func (f *Failure) advice(err error) string {
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
	if code := f.ExitCode; f.method == "" || (code != ExitTimedOut && code != ExitInterrupted) {
		return ""
	}
	switch {
	case strings.Contains(f.Message, "may have run"), strings.Contains(f.Message, "it was not sent"):
		return ""
	case f.SafeToRetry:
		return "it did not run"
	default:
		return "it may have run"
	}
}

// Text returns the failure on one line, for people.
func (f *Failure) Text() string {
	if f.Hint == "" {
		return OneLine(f.Message)
	}
	if strings.HasSuffix(f.Message, "?") {
		return OneLine(f.Message + " " + strings.ToUpper(f.Hint[:1]) + f.Hint[1:])
	}
	return OneLine(f.Message + "; " + f.Hint)
}

// Report writes an error to standard error: on one line, or, for a file with mistakes, on one line
// per mistake.
func (p *Program) Report(err error) {
	f := NewFailure(err)
	if p.JSON() {
		_ = WriteJSON(p.Errs, f) // no place is left to report an error of this
		return
	}
	if _, several := errors.AsType[policy.MistakesError](err); !several {
		fmt.Fprintln(p.Errs, "oslorpc:", f.Text())
		return
	}
	for line := range strings.SplitSeq(f.Message, "\n") {
		fmt.Fprintln(p.Errs, "oslorpc:", OneLine(line))
	}
}

// Notef writes a note for people to standard error. A note is not an error.
func (p *Program) Notef(format string, args ...any) {
	if !p.JSON() {
		fmt.Fprintln(p.Errs, "oslorpc:", OneLine(fmt.Sprintf(format, args...)))
	}
}
