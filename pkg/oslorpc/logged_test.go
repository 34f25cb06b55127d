package oslorpc_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logged is what a transport logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func wantLogged(t *testing.T, l *logged, text string) {
	t.Helper()
	if got := l.String(); !strings.Contains(got, text) {
		t.Errorf("the log does not say %q:\n%s", text, got)
	}
}
