package oslorpc_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Arguments that a server cannot decode appear in no error and no log, whatever the delivery.
func TestArgumentsAreNotLogged(t *testing.T) {
	var log syncBuffer
	transport := open(t, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	server := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	c := transport.Client(oslorpc.Target{Topic: "agents"})
	const number, text = "4929123456789012345678", `"hunter2"`
	for _, raw := range []oslorpc.Raw{
		`{"a":` + number + `}`, `{"a":` + text + `}`, `{"a":[` + text + `]}`, `{"a":1,"b":` + text + `}`, `{"a":1,"c":` + text + `}`, `{"a":` + number, `{"a":hunter2}`, `[` + number + `]`,
	} {
		ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"token": "hunter2"})
		_, failed := oslorpc.Call[int64](ctx, c, "add", raw)
		failures := []error{failed, c.Cast(ctx, "add", raw)}
		report, err := c.Fanout(ctx, "add", raw)
		failures = append(failures, err)
		if report != nil {
			failures = append(failures, report.Err())
		}
		for _, err := range failures {
			if err != nil && containsSecret(err.Error()) {
				t.Errorf("%s: the error tells the value: %v", raw, err)
			}
		}
		if failed == nil {
			t.Errorf("%s: the call succeeded", raw)
		}
	}
	if err := server.Stop(t.Context()); err != nil { // all casts have run
		t.Error(err)
	}
	if containsSecret(log.String()) {
		t.Errorf("the log tells the value:\n%s", log.String())
	}
}

func containsSecret(text string) bool {
	return strings.Contains(text, "4929") || strings.Contains(text, "hunter2")
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
