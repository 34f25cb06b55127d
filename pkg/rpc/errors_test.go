package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func kinds() []rpc.Kind {
	var all []rpc.Kind
	for k := rpc.Unknown; k <= rpc.Untrusted; k++ {
		all = append(all, k)
	}
	return all
}

func TestKindsHaveNamesAndWords(t *testing.T) {
	t.Parallel()
	seen := map[string]rpc.Kind{}
	for _, k := range kinds() {
		for _, text := range []string{k.String(), k.Name()} {
			if before, twice := seen[text]; twice || text == "" {
				t.Errorf("kind %d has the text %q of kind %d", k, text, before)
			}
			seen[text] = k
		}
		if k.Error() != k.String() {
			t.Errorf("as an error %q, as a string %q", k.Error(), k.String())
		}
	}
	unheard := rpc.Untrusted + 1
	for _, text := range []string{unheard.String(), unheard.Name()} {
		if !strings.Contains(text, fmt.Sprint(uint8(unheard))) {
			t.Errorf("a kind of a newer version has the text %q, without its number", text)
		}
	}
}

func TestErrorMatchesItsKindOnly(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.Name(), func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{
				&rpc.Error{Kind: k},
				fmt.Errorf("while testing: %w", &rpc.Error{Kind: k}),
				errors.Join(io.EOF, &rpc.Error{Kind: k}),
			} {
				for _, other := range kinds() {
					if got, want := errors.Is(err, other), k == other; got != want {
						t.Errorf("%v is %s: got %v, want %v", err, other.Name(), got, want)
					}
				}
				if got := rpc.KindOf(err); got != k {
					t.Errorf("%v: the kind is %s, want %s", err, got.Name(), k.Name())
				}
			}
		})
	}
}

func TestErrorMatchesContextErrors(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		err := fmt.Errorf("wrapped: %w", &rpc.Error{Kind: k})
		if got, want := errors.Is(err, context.DeadlineExceeded), k == rpc.Timeout || k == rpc.MonitorTimeout; got != want {
			t.Errorf("%s is context.DeadlineExceeded: got %v, want %v", k.Name(), got, want)
		}
		if got, want := errors.Is(err, context.Canceled), k == rpc.Canceled; got != want {
			t.Errorf("%s is context.Canceled: got %v, want %v", k.Name(), got, want)
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("%s is io.EOF", k.Name())
		}
	}
}

func TestErrorUnwrapsToItsCause(t *testing.T) {
	t.Parallel()
	remote := &rpc.RemoteError{Type: "ValueError", Message: "no such port", Hops: []string{"net1"}}
	err := fmt.Errorf("port_update: %w", &rpc.Error{Kind: rpc.Remote, Cause: remote})

	var gotRemote *rpc.RemoteError
	if !errors.As(err, &gotRemote) || gotRemote != remote {
		t.Errorf("the remote error is not found: %v", gotRemote)
	}
	var e *rpc.Error
	if !errors.As(err, &e) || e.Kind != rpc.Remote || e.Unwrap() == nil {
		t.Errorf("the error is not found: %v", e)
	}
	if !errors.Is(&rpc.Error{Kind: rpc.Unreachable, Cause: io.EOF}, io.EOF) {
		t.Error("the cause does not match")
	}
	if (&rpc.Error{Kind: rpc.Timeout}).Unwrap() != nil {
		t.Error("there is a cause where none was given")
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want rpc.Kind
	}{
		{"no error", nil, rpc.Unknown},
		{"another's error", io.EOF, rpc.Unknown},
		{"a context error is not of the family", context.Canceled, rpc.Unknown},
		{"a bare kind is not an error of the family", rpc.Timeout, rpc.Unknown},
		{"the outermost counts", &rpc.Error{Kind: rpc.Remote, Cause: &rpc.Error{Kind: rpc.NoInstance}}, rpc.Remote},
		{"joined", errors.Join(io.EOF, &rpc.Error{Kind: rpc.Refused}, &rpc.Error{Kind: rpc.Timeout}), rpc.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := rpc.KindOf(test.err); got != test.want {
				t.Errorf("got %s, want %s", got.Name(), test.want.Name())
			}
		})
	}
}

func TestSafeToRetry(t *testing.T) {
	t.Parallel()
	safe := &rpc.Error{Kind: rpc.Refused, NotStarted: true}
	unsafe := &rpc.Error{Kind: rpc.OutcomeUnknown}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"another's error", io.EOF, false},
		{"provably not started", safe, true},
		{"not known", unsafe, false},
		{"wrapped", fmt.Errorf("a: %w", fmt.Errorf("b: %w", safe)), true},
		{"joined", errors.Join(io.EOF, safe), true},
		{"a nested call did not start, but the method that made it did", &rpc.Error{Kind: rpc.Remote, Cause: safe}, false},
		{"not started, for a reason that is not known", &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: unsafe}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := rpc.SafeToRetry(test.err); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestIsNotDelivered(t *testing.T) {
	t.Parallel()
	want := map[rpc.Kind]bool{rpc.NoInstance: true, rpc.Refused: true, rpc.Unreachable: true, rpc.Untrusted: true}
	for _, k := range kinds() {
		if got := rpc.IsNotDelivered(fmt.Errorf("wrapped: %w", &rpc.Error{Kind: k})); got != want[k] {
			t.Errorf("%s: got %v, want %v", k.Name(), got, want[k])
		}
	}
	if rpc.IsNotDelivered(nil) || rpc.IsNotDelivered(io.EOF) {
		t.Error("no error, or another's, means not delivered")
	}
	if rpc.IsNotDelivered(&rpc.Error{Kind: rpc.Remote, Cause: &rpc.Error{Kind: rpc.NoInstance}}) {
		t.Error("a nested call that was not delivered means that the outer one was not")
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	target := rpc.Target{Topic: "compute", Version: "6.4"}
	for _, test := range []struct {
		want string
		err  error
	}{
		{"timed out", &rpc.Error{Kind: rpc.Timeout}},
		{"timed out: build", &rpc.Error{Kind: rpc.Timeout, Method: "build"}},
		{
			"timed out: build on topic compute, version 6.4: no reply within 60s",
			&rpc.Error{Kind: rpc.Timeout, Method: "build", Target: target, Message: "no reply within 60s"},
		},
		{
			"invalid target: server s: a topic is required to send: set Target.Topic",
			rpc.Target{Server: "s"}.ValidateClient(),
		},
		{"invalid target: a topic is required to send: set Target.Topic", rpc.Target{}.ValidateClient()},
		{"outcome unknown: the connection was lost", &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost"}},
		{"not delivered: unreachable: EOF", &rpc.Error{Kind: rpc.Unreachable, Cause: io.EOF}},
		{"not delivered: unreachable: nobody home", &rpc.Error{Kind: rpc.Unreachable, Cause: io.EOF, Message: "nobody home"}},
		{
			"timed out after 2s: whoami at slow (127.0.0.1:43549), topic volumes: no answer came",
			&rpc.Error{
				Kind: rpc.Timeout, Method: "whoami", Target: rpc.Target{Topic: "volumes", Server: "slow"}, Server: "slow", Addr: "127.0.0.1:43549",
				Message: "no answer came", Waited: 2*time.Second + 30*time.Millisecond,
			},
		},
		{
			"not delivered: no instance: whoami on topic volumes: no server is on the topic (waited 251ms)",
			&rpc.Error{
				Kind: rpc.NoInstance, Method: "whoami", Target: rpc.Target{Topic: "volumes"}, Message: "no server is on the topic",
				Waited: 251 * time.Millisecond,
			},
		},
		{
			`canceled: "a b" on topic volumes, exchange cells, namespace x, all servers: it was not sent`,
			&rpc.Error{
				Kind: rpc.Canceled, Method: "a b", Target: rpc.Target{Exchange: "cells", Topic: "volumes", Namespace: "x", Fanout: true},
				Message: "it was not sent",
			},
		},
		{
			"access denied: whoami at 127.0.0.1:1, topic volumes: no", &rpc.Error{
				Kind: rpc.AccessDenied, Method: "whoami", Target: rpc.Target{Topic: "volumes"}, Addr: "127.0.0.1:1", Message: "no",
			},
		},
		{
			"remote error: ping on topic compute, version 6.4: ValueError: bad",
			&rpc.Error{Kind: rpc.Remote, Method: "ping", Target: target, Cause: &rpc.RemoteError{Type: "ValueError", Message: "bad"}},
		},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			if got := test.err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// An error names its server and the address exactly once.
func TestErrorsNameTheServerOnce(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"its queue is full":                      `not delivered: refused: server "v1" at h:1: its queue is full`,
		`server "v1" drains`:                     `not delivered: refused: server "v1" at h:1 drains`,
		`server "v1" at h:1 sends nothing`:       `not delivered: refused: server "v1" at h:1 sends nothing`,
		"nothing listens at h:1; it is dead":     `not delivered: refused: nothing listens at h:1; it is dead`,
		`server "v10" is not there, or was left`: `not delivered: refused: server "v1" at h:1: server "v10" is not there, or was left`,
	} {
		e := &rpc.Error{Kind: rpc.Refused, Server: "v1", Addr: "h:1", Message: message}
		if e.Error() != want {
			t.Errorf("got  %s\nwant %s", e, want)
		}
	}
}
