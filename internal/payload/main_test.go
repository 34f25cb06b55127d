package payload

import (
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// check fails the test unless err has the kind and the path, and its message contains all parts.
func check(t *testing.T, err error, kind rpc.Kind, path string, parts ...string) {
	t.Helper()
	var e *rpc.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an *rpc.Error, got %v", err)
	}
	if e.Kind != kind || e.Path != path {
		t.Errorf("want a %s at %q, got a %s at %q: %v", kind.Name(), path, e.Kind.Name(), e.Path, err)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	for _, ugly := range []string{"jsontext:", "json: ", "payload.planned", "Value{", "invalid syntax", "strconv."} {
		if strings.Contains(e.Message, ugly) {
			t.Errorf("the message is not for users (%q): %s", ugly, e.Message)
		}
	}
}

// must returns a function that returns v, and stops the test if there is an error.
func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
