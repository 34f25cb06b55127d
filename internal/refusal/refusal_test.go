package refusal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	for why, want := range map[refusal.Reason]struct{ gone, misled bool }{
		refusal.Full:        {},
		refusal.Stopping:    {gone: true},
		refusal.Misdirected: {gone: true, misled: true},
		refusal.Declined:    {},
		refusal.Foreign:     {misled: true},
	} {
		e := refusal.New(why)
		if e.Kind != rpc.Refused || !rpc.SafeToRetry(e) || e.Message != string(why) || !errors.Is(e, why) {
			t.Errorf("%q: the error is %+v", why, e)
		}
		for _, err := range []error{e, why, fmt.Errorf("wrapped: %w", e)} {
			if refusal.Gone(err) != want.gone || refusal.Misled(err) != want.misled {
				t.Errorf("%v: gone %v, misled %v, want %+v", err, refusal.Gone(err), refusal.Misled(err), want)
			}
		}
	}
	for _, err := range []error{nil, io.EOF, &rpc.Error{Kind: rpc.Refused}} {
		if refusal.Gone(err) || refusal.Misled(err) {
			t.Errorf("%v: gone %v, misled %v", err, refusal.Gone(err), refusal.Misled(err))
		}
	}
}

func TestHeadersTooLarge(t *testing.T) {
	t.Parallel()
	marked := fmt.Errorf("send: %w", refusal.TooLargeHeaders(io.EOF))
	if !refusal.HeadersTooLarge(marked) || !errors.Is(marked, io.EOF) {
		t.Errorf("%v is not about headers, or lost its cause", marked)
	}
	if refusal.HeadersTooLarge(io.EOF) || refusal.HeadersTooLarge(nil) {
		t.Error("other errors are about headers")
	}
}

// An interceptor's error reaches the sender as one of few kinds, which says that the method did not
// run.
func TestBy(t *testing.T) {
	t.Parallel()
	var unreadable *rpc.RemoteError
	for name, test := range map[string]struct {
		err     error
		kind    rpc.Kind
		message string
	}{
		"plain":           {errors.New("only admins"), rpc.AccessDenied, "only admins"},
		"denied":          {&rpc.Error{Kind: rpc.AccessDenied, Message: "only admins"}, rpc.AccessDenied, "only admins"},
		"wrapped":         {fmt.Errorf("policy: %w", &rpc.Error{Kind: rpc.BadArguments, Message: "no user"}), rpc.BadArguments, "policy: bad arguments: no user"},
		"refused":         {&rpc.Error{Kind: rpc.Refused, Message: "too many"}, rpc.Refused, "too many"},
		"its own timeout": {&rpc.Error{Kind: rpc.Timeout, Message: "slow policy"}, rpc.Refused, "slow policy"},
		"bad target":      {&rpc.Error{Kind: rpc.InvalidTarget, Message: "x"}, rpc.InvalidTarget, "x"},
		"too large":       {&rpc.Error{Kind: rpc.TooLarge, Message: "x"}, rpc.TooLarge, "x"},
		"a claim to run":  {&rpc.Error{Kind: rpc.OutcomeUnknown, Message: "x"}, rpc.AccessDenied, "x"},
		"a deadline":      {context.DeadlineExceeded, rpc.AccessDenied, context.DeadlineExceeded.Error()},
		"unreadable":      {unreadable, rpc.AccessDenied, ""},
	} {
		e := refusal.By(t.Context(), test.err)
		if e.Kind != test.kind || !rpc.SafeToRetry(e) || test.message != "" && e.Message != test.message {
			t.Errorf("%s: got %+v", name, e)
		}
		if is := errors.Is(e, refusal.Declined); is != (test.kind == rpc.Refused) {
			t.Errorf("%s: it is declined: %v", name, is)
		}
	}
	path := refusal.By(t.Context(), &rpc.Error{Kind: rpc.BadArguments, Path: "/a/b"})
	if path.Path != "/a/b" {
		t.Errorf("the path is lost: %+v", path)
	}
}

// Once the context of a message has ended, an error that says so concerns the sender.
func TestByEndedContext(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, end := context.WithTimeout(t.Context(), 0)
	defer end()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		kind rpc.Kind
	}{
		{canceled, fmt.Errorf("ask: %w", context.Canceled), rpc.Canceled},
		{late, fmt.Errorf("ask: %w", context.DeadlineExceeded), rpc.Timeout},
		{canceled, io.EOF, rpc.AccessDenied},
	} {
		if e := refusal.By(test.ctx, test.err); e.Kind != test.kind || !e.NotStarted {
			t.Errorf("%v: got %+v", test.err, e)
		}
	}
}
