//go:build unix

// Package polyglot runs the session of examples/polyglot, whose programs are in three languages.
package polyglot

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

const root = "../../../"

func TestMain(m *testing.M) {
	programtest.Main(m, root+"cmd/oslorpc", root+"examples/polyglot/kitchen") // the result depends on their sources
}

var masks = []programtest.Mask{
	{Pattern: regexp.MustCompile(`unix:\S+?\.sock`), Instead: "PORT"},
	{Pattern: regexp.MustCompile(`up \d+s`), Instead: "up a while"},
	{Pattern: regexp.MustCompile(` {2,}`), Instead: " "},
}

// The session in the README works as shown. `make polyglot` builds the programs that are not in Go,
// and `make test` does so first. This test builds only the programs in Go.
func TestReadmeSession(t *testing.T) {
	python, err := filepath.Abs(root + ".bin/venv-polyglot")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{python + "/.installed", root + "examples/polyglot/dist/cellar.js"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("the programs in Python and TypeScript are not built: run `make polyglot` first (%v)", err)
		}
	}
	session := programtest.ReadSession(t, root+"examples/polyglot/README.md")
	if len(session) != 20 {
		t.Errorf("the README shows %d commands", len(session))
	}
	t.Setenv("VENV", python)
	session = session.Replace("make -s polyglot", "go build -o .bin/ ./cmd/oslorpc ./examples/polyglot/kitchen && ln -s $VENV .bin/")
	session.Run(t, root, programtest.Local(t), masks...)
}
