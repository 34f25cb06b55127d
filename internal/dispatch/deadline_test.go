package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// waits returns a method that returns err at its caller's deadline. It yields an item before.
func waits(streaming bool, err error) *Method {
	m := plain(func(ctx context.Context, emit Emit) error {
		if err := emit("1"); err != nil {
			return err
		}
		<-ctx.Done()
		if err != nil {
			return &MethodError{Err: err}
		}
		return nil
	})
	m.Streaming = streaming
	return m
}

func TestMethodAtItsCallersDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		method *Method
		want   rpc.Kind // Unknown if there is no error
		failed int64
	}{
		{"gives up", waits(false, context.DeadlineExceeded), rpc.Timeout, 0},
		{"gives up, in its words", waits(false, fmt.Errorf("waiting: %w", context.DeadlineExceeded)), rpc.Timeout, 0},
		{"gives up on a call of its own", waits(false, &rpc.Error{Kind: rpc.Timeout}), rpc.Timeout, 0},
		{"fails with something else", waits(false, errors.New("broken")), rpc.Remote, 1},
		{"fails with an error that panics", waits(false, (*fs.PathError)(nil)), rpc.Remote, 1},
		{"has its result all the same", waits(false, nil), rpc.Unknown, 0},
		{"ends its stream, which may have been cut short", waits(true, nil), rpc.Timeout, 0},
		{"ends its stream with an error", waits(true, errors.New("broken")), rpc.Remote, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, DefaultLimits, map[string]*Method{"foo": test.method})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				items, err := call(ctx, s, request("foo", ""))
				same(t, "items", items, []string{"1"})
				if test.want != rpc.Unknown {
					check(t, err, test.want, false)
				} else if err != nil {
					t.Error(err)
				}
				if started, failed := counts(s, "foo"); started != 1 || failed != test.failed {
					t.Errorf("%d count as started and %d as failed, want 1 and %d", started, failed, test.failed)
				}
			})
		})
	}
}

// A deadline that is not the caller's is a failure of the method.
func TestMethodWithADeadlineOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails(context.DeadlineExceeded), "stream": items("1")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err := call(ctx, s, request("foo", ""))
	if r := remote(t, err); r.Type != "context.deadlineExceededError" {
		t.Errorf("got %+v", r)
	}
	if _, err := call(ctx, s, request("stream", "")); err != nil {
		t.Error(err)
	}
}

// items returns a streaming method.
func items(list ...string) *Method {
	m := plain(func(_ context.Context, emit Emit) error {
		for _, item := range list {
			if err := emit(item); err != nil {
				return err
			}
		}
		return nil
	})
	m.Streaming = true
	return m
}

func TestFailingWithAnErrorThatPanicsEndsNoProcess(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": fails((*fs.PathError)(nil))})
	if err := s.Cast(context.Background(), request("foo", "")); err != nil {
		t.Error(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, failed := counts(s, "foo"); failed != 1 {
		t.Errorf("%d count as failed", failed)
	}
}
