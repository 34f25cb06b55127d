//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/consultest"
)

// A Consul that hides the fleet from callers without a token does not look like an empty fleet:
// each command fails and says what is missing.
func TestHiddenFleet(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.ACLs)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(consultest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t)
	f.url = agent.URL() + "?consul-token-file=" + tokenFile
	f.serve("node1")
	if names := f.servers(); len(names) != 1 {
		t.Fatalf("with the token, ls shows %q", names)
	}
	f.url = agent.URL()
	for line, code := range map[string]int{
		"ls": 3, "ls demo": 3, "ping demo": 3, "info demo": 3, "versions demo": 3, "versions why demo": 3, "deprecations demo": 3,
		"upgrade check demo --to 1.0":   cli.ExitCannotTell,
		"call demo whoami --timeout 2s": 3, "call demo whoami --fail-fast": 3, "fanout demo whoami --fail-fast": 3, "fanout demo whoami --timeout 2s": 3,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			r := f.run(strings.Fields(line)...)
			if r.code != code || r.out != "" || !strings.Contains(r.errs, "token") {
				t.Errorf("exit code %d, want %d, with %q and %s", r.code, code, r.out, r.errs)
			}
		})
	}
	watch := f.start("watch", "watch", "demo")
	f.find(1, "watch", "error")
	f.find(1, "watch", "token")
	watch.signal(syscall.SIGINT)
	if code := watch.code(); code == 0 {
		t.Errorf("a watch that saw nothing ends with %d", code)
	}
}
