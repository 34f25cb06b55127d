package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// maxSessionAllocs is the maximum number of allocations of a call of 1 KiB in a session, at both
// ends together, with arguments and a result that are already encoded.
const maxSessionAllocs = 20

// A call in a session makes few allocations, alone or beside other calls.
func TestSessionAllocations(t *testing.T) {
	if race {
		t.Skip("the race detector makes allocations")
	}
	call := sessionCall(t)
	for _, callers := range []int{1, 64} {
		costs, err := compare.Alternate(3, 0, compare.Workload{Callers: callers, Ops: 500, Do: func() error {
			for range 500 {
				if err := call(t.Context()); err != nil {
					return err
				}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if n := compare.Summarize(costs[0].Allocs).Median; n > maxSessionAllocs+0.5 {
			t.Errorf("with %d callers, a call makes %.1f allocations, want %d at most", callers, n, maxSessionAllocs)
		} else {
			t.Logf("with %d callers, a call makes %.1f allocations", callers, n)
		}
	}
}

// sessionCall returns a call to a server with an open session.
func sessionCall(t *testing.T) func(context.Context) error {
	t.Helper()
	url, quiet := "memory://"+strings.ReplaceAll(t.Name(), "/", "-"), oslorpc.WithLogger(slog.New(slog.DiscardHandler))
	open := func(url string) *oslorpc.Transport {
		transport, err := oslorpc.Open(url, quiet, oslorpc.WithStopGrace(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := transport.Close(); err != nil {
				t.Error(err)
			}
		})
		return transport
	}
	server := open(url).Server(oslorpc.Target{Topic: "bench", Server: "node1"})
	server.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{
		"echo": oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
	}})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := open(url + "?carrier=session").Client(oslorpc.Target{Topic: "bench", Version: "1.0"})
	args := jsonText(payloadSize)
	call := func(ctx context.Context) error {
		if got, err := oslorpc.Call[oslorpc.Raw](ctx, client, "echo", args); err != nil || len(got) != len(args) {
			return fmt.Errorf("got %d bytes: %w", len(got), err)
		}
		return nil
	}
	if err := call(t.Context()); err != nil {
		t.Fatal(err)
	}
	return call
}
