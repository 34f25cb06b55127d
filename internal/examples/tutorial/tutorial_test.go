//go:build unix

// Package tutorial follows docs/tutorial.md.
package tutorial

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

const (
	page       = "../../../docs/tutorial.md"
	repository = "../../.."
)

func TestMain(m *testing.M) { programtest.Main(m, repository+"/cmd/oslorpc") }

// varying matches what differs each time: addresses with the columns after them, and times.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`ADDRESS +`), Instead: "ADDRESS "},
	{Pattern: regexp.MustCompile(`unix:\S+?\.sock *`), Instead: "ADDRESS "},
	{Pattern: regexp.MustCompile(`up \w+`), Instead: "up 1s"},
	{Pattern: regexp.MustCompile(`agent\t.*`), Instead: "agent\t0.1s"},
	{Pattern: regexp.MustCompile(`counted for \w+`), Instead: "counted for 1s"},
}

// The tutorial, typed literally, works in a separate module with the present library. Its commands
// must fetch everything that its programs need: this test does not complete go.mod and go.sum.
func TestTutorial(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	get := regexp.MustCompile(`go get (\S+)@latest`).FindStringSubmatch(string(text))
	if get == nil {
		t.Fatal("the tutorial does not get the library")
	}
	// Instead of downloads, use the present module, modules of the cache, and the command that the
	// test built.
	for name, value := range map[string]string{
		"PATH":      filepath.Dir(programtest.Path("oslorpc")) + ":" + os.Getenv("PATH"),
		"GONOSUMDB": "*",
		"GOFLAGS":   "",
		"GOWORK":    "off",
	} {
		t.Setenv(name, value)
	}
	session := programtest.ReadSession(t, page)
	if n := len(session); n < 30 {
		t.Errorf("the tutorial has %d commands and files", n)
	}
	dir := t.TempDir()
	session.
		Replace(get[0], fmt.Sprintf("go mod edit -replace='github.com/oslorpc/oslorpc=%s' && "+
			"got=$(GOPROXY=file://$(go env GOMODCACHE)/cache/download go get %s 2>&1) || echo \"$got\"", root, get[1])).
		Replace("go install github.com/oslorpc/oslorpc/cmd/oslorpc@latest", "true").
		Run(t, dir, programtest.Local(t), varying...)
	for program, usage := range map[string]string{"agent": "usage: agent NODE\n", "free": "usage: free POOL\n"} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "disks", "bin", program)).CombinedOutput()
		if err == nil || !strings.HasSuffix(string(out), usage) {
			t.Errorf("%s without arguments: %v, %s", program, err, out)
		}
	}
}
