package cli

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestFailureText(t *testing.T) {
	t.Parallel()
	panicked := &oslorpc.RemoteError{Type: "panic", Message: "ouch", Stack: []string{"main.f()"}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("disk full"), "disk full"},
		{errors.New("two\nlines\x1b[31m\u009b"), `two\nlines\u001b[31m\u009b`},
		{Usage("wrong"), "wrong; see oslorpc --help"},
		{&oslorpc.Error{Kind: rpc.Timeout, Method: "m", Message: "late"}, "timed out: m: late; it may have run"},
		{&oslorpc.Error{Kind: rpc.Timeout, Method: "m", Message: "late", NotStarted: true}, "timed out: m: late; it did not run"},
		{&oslorpc.Error{Kind: rpc.Timeout, Message: "no message"}, "timed out: no message"},
		{&oslorpc.Error{Kind: rpc.Remote, Message: "panic: ouch", Cause: panicked}, "remote error: panic: ouch; --output json has the stack"},
		{WithHint(errors.New("bad"), "do this"), "bad; do this"},
	} {
		if got := NewFailure(test.err).Text(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestFailureForPrograms(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	p := &Program{Errs: &errs, Output: "json"}
	p.Report(&oslorpc.Error{
		Kind: rpc.Remote, Message: "main.E: boom", Server: "node1", InstanceID: "i1",
		Cause: &oslorpc.RemoteError{Type: "main.E", Message: "boom", Stack: []string{"a", "b"}, Hops: []string{"node1"}},
	})
	want := `{"kind":"Remote","message":"remote error: main.E: boom","hint":"--output json has the stack","exit_code":5,` +
		`"safe_to_retry":false,"server":"node1","instance_id":"i1",` +
		`"remote":{"type":"main.E","message":"boom","stack":["a","b"],"hops":["node1"]}}` + "\n"
	if errs.String() != want {
		t.Errorf("got %s", errs.String())
	}
	errs.Reset()
	p.Report(Usage("<wrong>"))
	if want := `{"kind":"Usage","message":"<wrong>","hint":"see oslorpc --help","exit_code":2,"safe_to_retry":true}` + "\n"; errs.String() != want {
		t.Errorf("got %s", errs.String())
	}
	errs.Reset()
	p.Notef("no server is there")
	if errs.Len() > 0 {
		t.Errorf("a note among documents: %s", errs.String())
	}
}

func TestBlame(t *testing.T) {
	t.Parallel()
	p := &Program{}
	for _, test := range []struct {
		started bool
		err     error
		want    int
	}{
		{false, errors.New("unknown flag"), 2},
		{true, Usage("wrong"), 2},
		{true, errors.New("disk full"), 1},
		{true, context.Canceled, 130},
		{true, context.DeadlineExceeded, 4},
		{true, &oslorpc.Error{Kind: rpc.OutcomeUnknown, Cause: context.Canceled}, 6},
	} {
		p.started = test.started
		err := p.blame(test.err)
		if got := ExitCode(err); got != test.want || err.Error() == "" {
			t.Errorf("%v: exit code %d with %q, want %d", test.err, got, err, test.want)
		}
	}
}
