package host

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
)

// The function for missed messages may exit its goroutine. It is called again for the next reason,
// and ends with the server.
func TestMissedMessagesFunctionThatEndsItsGoroutine(t *testing.T) {
	r := listening(slog.New(slog.DiscardHandler))
	defer r.phase.Leave()
	told := make(chan string)
	var l listeners
	l.add(r, func(_ context.Context, reason string) {
		told <- reason
		runtime.Goexit()
	})
	for range 3 {
		l.tell("lost")
		if reason := <-told; reason != "lost" {
			t.Errorf("told %q", reason)
		}
	}
}
