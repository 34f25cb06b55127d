// Package programtest runs the programs of an example as processes, for tests of the example. The
// flag --transport tells a program how to find others. A program prints what it does on standard
// output, and tests wait for these lines.
package programtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/leak"
)

// parallel is the minimum number of tests that run at a time.
const parallel = 6

// patience is how long a test waits for something that should happen soon.
const patience = 30 * time.Second

var (
	// bin is the directory of the programs.
	bin string
	// sources are the source files of the programs, one file on each line.
	sources string
)

// Main builds programs, runs the tests of a package with [leak.Main], and exits. Use it as
//
//	func TestMain(m *testing.M) { programtest.Main(m, "./server", "./client") }
//
// Several parallel tests run at a time, even on few processors, since they wait most of the time.
// The flag -parallel takes precedence.
func Main(m *testing.M, packages ...string) {
	_ = flag.Set("test.parallel", strconv.Itoa(max(parallel, runtime.GOMAXPROCS(0))))
	dir, err := os.MkdirTemp("", "programtest")
	if err == nil {
		bin = dir
		err = build(packages)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "programtest: %v\n", err)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	leak.Main(m, func() { _ = os.RemoveAll(dir) })
}

func build(packages []string) error {
	if _, err := run(append([]string{"build", "-o", bin + "/"}, packages...)...); err != nil {
		return err
	}
	files := "{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}{{end}}{{end}}"
	var err error
	sources, err = run(append([]string{"list", "-deps", "-f", files}, packages...)...)
	return err
}

func run(args ...string) (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput() //nolint:gosec // They are ours.
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// depend makes the test results depend on the sources of the programs. go test remembers which
// files of the module a test looked at. Without depend, it would reuse a cached result after a
// program has changed.
var depend = sync.OnceFunc(func() {
	for file := range strings.Lines(sources) {
		_, _ = os.Stat(strings.TrimSpace(file))
	}
})

// OnEach runs a test on the embedded registry and on Consul, in parallel with other tests. Each run
// is a separate fleet, whose programs find each other by the URL.
func OnEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		test(t, Local(t))
	})
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		test(t, consultest.Start(t).URL())
	})
}

// Local returns the URL of an embedded registry for this test alone.
func Local(tb testing.TB) string {
	tb.Helper()
	return "local://" + filepath.Join(tb.TempDir(), "registry")
}
