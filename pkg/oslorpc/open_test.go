package oslorpc_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestOpenDoesNotRepeatPasswords(t *testing.T) {
	for _, url := range []string{"consul://u:secret@h:x", "consul://u:secret@h?unknown=1", "memory://u:secret@h", "rabbit://u:secret@h/"} {
		_, err := oslorpc.Open(url)
		wantKind(t, err, oslorpc.Invalid, true)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// For every transport URL, Open returns a transport that can be closed, or an error that says how
// the library was misused.
func FuzzOpen(f *testing.F) {
	for _, url := range []string{
		"", "://", "local", "local://dir", "local:/dir", "LOCAL://x?", " local://x",
		"consul://", "consul://localhost:8500", "consul://[::1]:1?dc=a&ttl=3s", "consul://u:p@h", "consul://h:x", "consul://h?consul-token-file=/none",
		"static://", "static://t=h:1", "static://t/s=h:1,t=[::1]:2?exchange=x", "memory://n?exchange=%zz&exchange=", "consul://h1:1,[::1]:2?exchange=x&dc=y", "static://t=unix:/p", "static://%zz=h:1", "Static://t=h:1",
		"memory://", "memory://name", "memory://name/path", "rabbit://user:secret@host:5672/vhost", "kombu+memory://", "\x00://", "memory://\xff",
	} {
		f.Add(url)
	}
	log := oslorpc.WithLogger(slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, url string) {
		if url == "" {
			return // it is local://
		}
		if scheme, rest, _ := strings.Cut(url, "://"); strings.EqualFold(scheme, "local") && (rest == "" || strings.ContainsAny(rest[:1], "/?#")) {
			return // it would make directories; see the fuzz target of the registry itself
		}
		transport, err := oslorpc.Open(url, log)
		if err != nil {
			wantKind(t, err, oslorpc.Invalid, true)
			if transport != nil {
				t.Error("a transport in spite of an error")
			}
			return
		}
		if err := transport.Close(); err != nil {
			t.Errorf("closing it: %v", err)
		}
	})
}
