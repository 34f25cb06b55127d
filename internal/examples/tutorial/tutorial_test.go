//go:build unix

// Package tutorial does what docs/tutorial.md says.
package tutorial

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

const (
	page       = "../../../docs/tutorial.md"
	repository = "../../.."
)

func TestMain(m *testing.M) { programtest.Main(m, repository+"/cmd/oslorpc") }

// varying is what differs each time: addresses with the columns after them, and times.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`ADDRESS +`), Instead: "ADDRESS "},
	{Pattern: regexp.MustCompile(`unix:\S+?\.sock *`), Instead: "ADDRESS "},
	{Pattern: regexp.MustCompile(`up \w+`), Instead: "up 1s"},
	{Pattern: regexp.MustCompile(`agent\t.*`), Instead: "agent\t0.1s"},
	{Pattern: regexp.MustCompile(`counted for \w+`), Instead: "counted for 1s"},
}

// The tutorial, typed as it is, works in a module of its own, with the library as it is here.
func TestTutorial(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		t.Fatal(err)
	}
	// In place of what is downloaded: the module here, and the command that the test built.
	get := fmt.Sprintf("cp ../go.sum . && export GOFLAGS=-mod=mod GOPROXY=off GOWORK=off PATH='%s':\"$PATH\" && sed -e '/^module/d' -e '/^go /d' '%s/go.mod' >> go.mod && "+
		"go mod edit -require=github.com/oslorpc/oslorpc@v0.0.0 -replace='github.com/oslorpc/oslorpc=%s'", filepath.Dir(programtest.Path("oslorpc")), root, root)
	session := programtest.ReadSession(t, page)
	if n := len(session); n < 30 {
		t.Errorf("the tutorial has %d commands and files", n)
	}
	session.
		Replace("go get github.com/oslorpc/oslorpc@latest", get).
		Replace("go install github.com/oslorpc/oslorpc/cmd/oslorpc@latest", "true").
		Run(t, dir, programtest.Local(t), varying...)
}
