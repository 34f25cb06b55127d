//go:build unix

// Package upgrade tests the programs of examples/upgrade as processes, and the claims of its
// README.
package upgrade

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const source = "../../../examples/upgrade/"

func TestMain(m *testing.M) { anycarrier.Main(m) }

// patience is how long a program may run before it is killed.
const patience = 2 * time.Minute

// programs is the directory of the example's built programs.
type programs string

// build builds the programs, which exist until the end of the test.
func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, source+"server", source+"client", source+"rolling").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return programs(dir)
}

func (p programs) path(name string) string { return filepath.Join(string(p), name) }

// command returns a command that runs one of the programs.
func (p programs) command(t *testing.T, url, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, p.path(name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the program then stops its own processes
	cmd.WaitDelay = patience
	cmd.Env = append(os.Environ(), oslorpc.TransportURLVariable+"="+url)
	return cmd
}

// run runs a program to its end and returns what it prints.
func run(cmd *exec.Cmd) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// startServer starts a server, returns when it is ready, and stops it at the end of the test.
func (p programs) startServer(t *testing.T, url, release, name string) {
	t.Helper()
	cmd := p.command(t, url, "server", "--version", release, "--name", name)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, cmd) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if want := "ready: " + name + ", a " + release + " server\n"; err != nil || line != want {
		t.Fatalf("the server begins with %q, %v; want %q", line, err, want)
	}
}

func stopServer(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("a server that was told to stop: %v", err)
	}
}

// TestPrograms runs all programs concurrently.
func TestPrograms(t *testing.T) {
	p := build(t)
	t.Run("rolling", func(t *testing.T) { programtest.OnEach(t, p.rolling) })
	t.Run("rolling fails", p.rollingFails)
	t.Run("clients", p.clients)
	t.Run("majors", p.majors)
}

// rolling upgrades and downgrades a fleet. Its output is what the README shows, except for the
// numbers.
func (p programs) rolling(t *testing.T, url string) {
	want := timeline(readme(t)["go run ./examples/upgrade/rolling"])
	out, problems, err := run(p.command(t, "", "rolling", "--transport", url, "--server", p.path("server"), "--calls", "100"))
	if err != nil || problems != "" {
		t.Fatalf("%v\n%s%s", err, out, problems)
	}
	if got := timeline(out); got != want {
		t.Errorf("it printed\n%s\nwhich is\n%s\nand the README shows\n%s", out, got, want)
	}
}

// rollingFails makes rolling fail to start its servers.
func (p programs) rollingFails(t *testing.T) {
	t.Parallel()
	if _, problems, err := run(p.command(t, "", "rolling", "--server", p.path("client"))); err == nil || !strings.Contains(problems, "node1 is not ready") {
		t.Errorf("%v\n%s", err, problems)
	}
}

var (
	seconds = regexp.MustCompile(`(?m)^ *\d+\.\ds`)
	counts  = regexp.MustCompile(`(?m) +\d+ +\d+ +\d+ +(\d+)$`)
	totals  = regexp.MustCompile(`\d+ calls, \d+ at 1.1 and \d+ at 1.2`)
)

// timeline returns the output of rolling without the numbers that differ each time. rolling itself
// checks the versions at which calls ran.
func timeline(out string) string {
	out = counts.ReplaceAllString(seconds.ReplaceAllString(out, "TIME"), " $1")
	return strings.TrimSpace(totals.ReplaceAllString(out, "TOTALS"))
}
