//go:build unix

// Package secure runs the commands in docs/secure-a-fleet.md.
package secure

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const document = "../../../docs/secure-a-fleet.md"

func TestMain(m *testing.M) { programtest.Main(m, "../../../cmd/oslorpc") }

// varying matches the addresses, which differ each time.
var varying = programtest.Mask{Pattern: regexp.MustCompile(`127\.0\.0\.1:\d+ *`), Instead: "ADDRESS "}

// The commands of the document work as described, with either registry.
func TestDocument(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "openssl", "version").Output()
	if err != nil || !strings.HasPrefix(string(version), "OpenSSL 3") {
		t.Skipf("the commands need OpenSSL 3; this machine has %q, %v", version, err)
	}
	for _, name := range trust.Variables() {
		if _, set := os.LookupEnv(name); set {
			t.Fatalf("%s is set: the test needs an environment without it", name)
		}
	}
	rules := shown(t, "yaml")
	programtest.OnEach(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "fleet"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "fleet", "policy.yaml"), []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		session := programtest.ReadSession(t, document)
		if n := len(session); n < 40 {
			t.Errorf("the document shows %d commands", n)
		}
		session.
			Replace("$PWD/.bin", filepath.Dir(programtest.Path("oslorpc"))).
			Replace(`"local://$PWD/registry"`, "'"+url+"'").
			Run(t, dir, url, varying)
	})
}

// shown returns the first block of a language in the document.
func shown(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n```"+language+"\n")
	block, _, ended := strings.Cut(after, "```\n")
	if !found || !ended {
		t.Fatalf("the document has no block in the language %s", language)
	}
	return block
}
