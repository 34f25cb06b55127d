package oslorpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Two servers wait for each other with their only workers. The innermost call is not started, and
// fails in time. Nothing stays locked.
func TestNestedCallsWithFullPools(t *testing.T) {
	serveOne := func(name string, m oslorpc.Method) *oslorpc.Transport {
		transport := open(t)
		s := transport.Server(oslorpc.Target{Topic: name, Server: name}, oslorpc.WithWorkers(1))
		s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"ask": m}})
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return transport
	}
	type depth struct {
		N int `json:"n"`
	}
	inner := make(chan error, 1)
	ask := func(c func() *oslorpc.Client) oslorpc.Method {
		return oslorpc.Func(func(ctx context.Context, d depth) (int, error) {
			if d.N == 0 {
				return 0, nil
			}
			n, err := oslorpc.Call[int](ctx, c(), "ask", depth{d.N - 1})
			if d.N == 1 {
				inner <- err
			}
			return n + 1, err
		})
	}
	var toA, toB *oslorpc.Client
	serveOne("a", ask(func() *oslorpc.Client { return toB }))
	serveOne("b", ask(func() *oslorpc.Client { return toA }))
	// The innermost call times out before the outer calls, as a nested call should.
	toA = open(t).Client(oslorpc.Target{Topic: "a"}, oslorpc.WithTimeout(200*time.Millisecond))
	toB = open(t).Client(oslorpc.Target{Topic: "b"}, oslorpc.WithTimeout(10*time.Second))

	outer := toA.Prepare(oslorpc.WithTimeout(20 * time.Second))
	if n, err := oslorpc.Call[int](t.Context(), outer, "ask", depth{1}); n != 1 || err != nil {
		t.Errorf("one deep: %d, %v", n, err)
	}
	<-inner
	_, err := oslorpc.Call[int](t.Context(), outer, "ask", depth{2}) // a, b, and a again, whose worker waits
	var remote *oslorpc.RemoteError
	if !errors.As(err, &remote) || remote.Type != "oslorpc.Timeout" {
		t.Errorf("two deep: %v", err)
	}
	if err := <-inner; !errors.Is(err, oslorpc.Timeout) {
		t.Errorf("the innermost call: %v", err)
	}
	if n, err := oslorpc.Call[int](t.Context(), outer, "ask", depth{1}); n != 1 || err != nil {
		t.Errorf("after it: %d, %v", n, err)
	}
}
