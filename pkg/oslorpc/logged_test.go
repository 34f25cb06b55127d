package oslorpc_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logged collects what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func wantLogged(t *testing.T, l *logged, text string) {
	t.Helper()
	if l.count(text) == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Errorf("the log does not say %q:\n%s", text, l.text.String())
	}
}
