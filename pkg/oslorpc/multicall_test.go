package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// collect ranges over a multicall and returns the items.
func collect[T any](seq iter.Seq2[T, error]) (items []T, err error) {
	for item, failure := range seq {
		if failure != nil {
			return items, failure
		}
		items = append(items, item)
	}
	return items, nil
}

func TestMulticall(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	c := client(t)
	for name, test := range map[string]struct {
		method string
		args   any
		items  string
		err    error
	}{
		"stream":           {"count", limit{3}, "[1 2 3]", nil},
		"empty stream":     {"count", limit{0}, "[]", nil},
		"failure midway":   {"count", limit{-2}, "[1 2]", oslorpc.Remote},
		"plain method":     {"add", sum{A: 7}, "[7]", nil},
		"null is an item":  {"note", nil, "[<nil>]", nil},
		"unknown method":   {"nope", nil, "[]", oslorpc.NoSuchMethod},
		"bad arguments":    {"count", nil, "[]", oslorpc.BadArguments},
		"failure at once":  {"fail", nil, "[]", oslorpc.Remote},
		"not serialisable": {"unserialisable", nil, "[]", oslorpc.BadResult},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := collect(oslorpc.Multicall[any](t.Context(), c, test.method, test.args))
			if got := fmt.Sprint(items); got != test.items {
				t.Errorf("items %s, want %s", got, test.items)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

func TestMulticallOfAListIsOneItem(t *testing.T) {
	serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"list": oslorpc.Func(func(context.Context, oslorpc.NoArgs) ([]int, error) { return []int{1, 2}, nil }),
	}})
	items, err := collect(oslorpc.Multicall[[]int](t.Context(), client(t), "list", nil))
	if fmt.Sprint(items) != "[[1 2]]" || err != nil {
		t.Errorf("got %v, %v", items, err)
	}
}

func TestCallOfAStreamReturnsTheLastItem(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	if got, err := oslorpc.Call[int](t.Context(), client(t), "count", limit{5}); got != 5 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := oslorpc.Call[any](t.Context(), client(t), "count", limit{0}); got != nil || err != nil {
		t.Errorf("of none: %v, %v", got, err)
	}
}

func TestMulticallIsLazyAndSingleUse(t *testing.T) {
	a := newAgent("node1")
	serve(t, "node1", a.endpoint("1.0"))
	c := client(t)
	seq := oslorpc.Multicall[any](t.Context(), c, "note", nil)
	if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil || a.casts.Load() != 0 {
		t.Errorf("it ran before it was ranged over: %v", err)
	}
	if _, err := collect(seq); err != nil || a.casts.Load() != 1 {
		t.Errorf("it ran %d times: %v", a.casts.Load(), err)
	}
	_, err := collect(seq)
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "once")
	if a.casts.Load() != 1 {
		t.Error("a second range ran it again")
	}
}

// endless yields items until the caller abandons the multicall, and reports how it ended.
func endless(ended chan<- error) oslorpc.Endpoint {
	return oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"endless": oslorpc.Stream(func(ctx context.Context, _ oslorpc.NoArgs) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 0; yield(n, nil); n++ {
				}
				<-ctx.Done()
				ended <- ctx.Err()
			}
		}),
		"silent": oslorpc.Stream(func(ctx context.Context, _ oslorpc.NoArgs) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
				ended <- ctx.Err()
			}
		}),
	}}
}

func TestAbandonedMulticallCancelsTheMethod(t *testing.T) {
	ended := make(chan error, 1)
	serve(t, "node1", endless(ended))
	for n, err := range oslorpc.Multicall[int](t.Context(), client(t), "endless", nil) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			break
		}
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the method's context ended with %v", err)
	}
}

func TestMulticallTimeoutIsForEachItem(t *testing.T) {
	ended := make(chan error, 2)
	serve(t, "node1", endless(ended))
	items, err := collect(oslorpc.Multicall[int](t.Context(), client(t, oslorpc.WithTimeout(100*time.Millisecond)), "silent", nil))
	if fmt.Sprint(items) != "[1]" {
		t.Errorf("items: %v", items)
	}
	wantKind(t, err, oslorpc.Timeout, false)
	<-ended

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = collect(oslorpc.Multicall[int](ctx, client(t), "silent", nil))
	wantKind(t, err, oslorpc.Timeout, false)
	<-ended
}

// Flow control makes the method wait for a slow consumer. The method does not run ahead by more
// than the connection buffers.
func TestMulticallHasBackpressure(t *testing.T) {
	made := make(chan int, 1)
	serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"bulky": oslorpc.Stream(func(ctx context.Context, _ oslorpc.NoArgs) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				n := 0
				for ; n < 10_000 && yield(make([]byte, 10_000), nil); n++ {
				}
				made <- n
			}
		}),
	}})
	for _, err := range oslorpc.Multicall[oslorpc.Raw](t.Context(), client(t), "bulky", nil) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n := <-made; n > 5000 {
		t.Errorf("the method made %d of 10000 items for a consumer that took one", n)
	}
}

// A refused multicall is retried like a call, also with dial options. A refusal by one server does
// not mean that an interceptor sent the message to another server.
func TestMulticallGoesOnWhenRefused(t *testing.T) {
	for _, name := range []string{"lacks1", "lacks2", "lacks3"} {
		serve(t, name, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{}})
	}
	serve(t, "has", newAgent("has").endpoint("1.0"))
	target := oslorpc.Target{Topic: "agents"}
	c := open(t, oslorpc.WithDialOptions(grpc.WithUserAgent("test"))).Client(target, oslorpc.WithTimeout(10*time.Second))
	for range 8 { // by turns
		if items, err := collect(oslorpc.Multicall[int](t.Context(), c, "count", limit{3})); len(items) != 3 || err != nil {
			t.Errorf("got %v, %v", items, err)
		}
	}
}
