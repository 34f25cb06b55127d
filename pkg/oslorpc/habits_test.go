package oslorpc_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestClientWithBackoff(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	b := &oslorpc.Backoff{Initial: 20 * time.Millisecond, Max: 50 * time.Millisecond}
	c := open(t).Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithBackoff(b), oslorpc.WithTimeout(10*time.Second))
	if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil { // now they are connected
		t.Fatal(err)
	}
	hang := func(options ...oslorpc.ClientOption) {
		t.Helper()
		_, err := oslorpc.Call[any](t.Context(), c.Prepare(options...), "hang", nil)
		if !errors.Is(err, oslorpc.Timeout) {
			t.Errorf("got %v", err)
		}
	}
	hang(oslorpc.WithTimeout(time.Millisecond))
	if got := b.Timeout("", "hang"); got != b.Initial {
		t.Errorf("after a call with a timeout of its own it is %v", got)
	}
	for _, want := range []time.Duration{40 * time.Millisecond, b.Max, b.Max} {
		hang(oslorpc.WithDefaultTimeout())
		if got := b.Timeout("", "hang"); got != want {
			t.Errorf("it is %v, want %v", got, want)
		}
	}
	hang(oslorpc.WithBackoff(nil), oslorpc.WithTimeout(time.Millisecond))
}

func TestLossyCasts(t *testing.T) {
	var text bytes.Buffer
	transport := open(t, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&text, nil))))
	c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithRetry(0), oslorpc.WithLossyCasts(true))
	if err := c.Cast(t.Context(), "note", nil); err != nil {
		t.Errorf("with no server there: %v", err)
	}
	if !strings.Contains(text.String(), "cast lost") || !strings.Contains(text.String(), "method=note") {
		t.Errorf("it is not logged: %s", text.String())
	}
	wantKind(t, c.Prepare(oslorpc.WithLossyCasts(false)).Cast(t.Context(), "note", nil), oslorpc.NoInstance, true)
	_, err := oslorpc.Call[any](t.Context(), c, "note", nil)
	wantKind(t, err, oslorpc.NoInstance, true)
	wantKind(t, c.Prepare(oslorpc.WithTopic("")).Cast(t.Context(), "note", nil), oslorpc.InvalidTarget, true)

	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	patient := c.Prepare(oslorpc.WithRetry(-1))
	if err := patient.Cast(t.Context(), "note", nil); err != nil {
		t.Error(err)
	}
	wantKind(t, patient.Cast(t.Context(), "no_such", nil), oslorpc.NoSuchMethod, true)
}
