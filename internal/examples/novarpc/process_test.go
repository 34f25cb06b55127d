//go:build unix

// Package novarpc tests the program of examples/nova-rpc as processes.
package novarpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestMain(m *testing.M) { programtest.Main(m, "../../../examples/nova-rpc") }

// patience is how long a process may run before it is killed.
const patience = time.Minute

// program returns a command that runs the program.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, programtest.Path("nova-rpc"), args...)
	cmd.Env = append(os.Environ(), oslorpc.TransportURLVariable+"=")
	return cmd
}

// output runs the program to its end and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%q: %v\n%s%s", cmd.Args[1:], err, &stdout, &stderr)
	}
	return stdout.String()
}

// process is the program as a worker, which runs until it is told to stop.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
}

// startProcess starts a worker and returns when it consumes.
func startProcess(t *testing.T, url, host string) *process {
	t.Helper()
	cmd := program(t, "--transport", url, "--host", host)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stdout: bufio.NewReader(stdout)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed before it stopped the worker
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := p.stdout.ReadString('\n')
	if want := host + ` consumes "compute"`; err != nil || strings.TrimSpace(line) != want {
		t.Fatalf("the worker begins with %q, %v; want %q", line, err, want)
	}
	return p
}

// stop stops workers and returns what each has printed since its start.
func stop(t *testing.T, processes []*process) []string {
	t.Helper()
	for _, p := range processes {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	printed := make([]string, len(processes))
	for i, p := range processes {
		text, err := io.ReadAll(p.stdout)
		if err = errors.Join(err, p.cmd.Wait()); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		printed[i] = string(text)
	}
	return printed
}
