//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/child"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/look"
	"github.com/oslorpc/oslorpc/internal/freeze"
)

// patient limits how long a test waits for an event.
const patient = 20 * time.Second

// fleet is a registry and the processes of this program that use it.
type fleet struct {
	t      *testing.T
	dir    string
	url    string
	output *child.Transcript
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "registry")
	return &fleet{t: t, dir: dir, url: "local://" + dir, output: child.NewTranscript()}
}

// run runs a command line in this process.
func (f *fleet) run(args ...string) result {
	return runWith("", append(args, "--transport", f.url)...)
}

// ok is like run, for a command line that must succeed.
func (f *fleet) ok(args ...string) result {
	f.t.Helper()
	r := f.run(args...)
	wantCode(f.t, r, 0)
	return r
}

// command returns a command line as a process that has not started.
func (f *fleet) command(args ...string) *exec.Cmd {
	f.t.Helper()
	executable, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(executable, args...)
	cmd.Env = append(child.Environment(f.url), asProgram+"=1")
	return cmd
}

// start starts a process that prints to the transcript under a name.
func (f *fleet) start(name string, args ...string) *process {
	f.t.Helper()
	cmd := f.command(args...)
	printer := f.output.Of(name)
	cmd.Stdout, cmd.Stderr = printer, printer
	p := &process{t: f.t, Cmd: cmd, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // code tells how it ended
	}()
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// process is a process of this program.
type process struct {
	*exec.Cmd
	t      *testing.T
	exited chan struct{}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// freeze stops the process until SIGCONT. The process stays registered and does not answer.
func (p *process) freeze() {
	p.t.Helper()
	if err := freeze.Process(p.Process); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the end of the process and returns its exit code, or -1 if a signal ended it.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.ProcessState.ExitCode()
	case <-time.After(patient):
		p.t.Fatalf("%v does not end", p.Args)
		return 0
	}
}

// serve starts a server on the topic demo and returns when it is ready. The server ends with this
// process at the latest.
func (f *fleet) serve(server string, more ...string) *process {
	f.t.Helper()
	args := append([]string{"serve", "--topic", "demo", "--server", server}, more...)
	ctx, cancel := context.WithTimeout(f.t.Context(), patient)
	defer cancel()
	c, _, err := child.Start(ctx, f.command(args...), server, f.output)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Kill)
	return &process{t: f.t, Cmd: c.Cmd, exited: c.Exited}
}

// serveThree starts node1, node2 and node3.
func (f *fleet) serveThree() (one, two, three *process) {
	f.t.Helper()
	return f.serve("node1"), f.serve("node2"), f.serve("node3")
}

// find waits for lines that a process prints. If by is empty, it waits for lines of any process.
func (f *fleet) find(count int, by, text string) []child.Line {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patient)
	defer cancel()
	lines, err := f.output.Find(ctx, 0, count, func(l child.Line) bool { return (by == "" || l.By == by) && strings.Contains(l.Text, text) })
	if err != nil {
		f.t.Fatal(err)
	}
	return lines
}

// servers returns the names that ls shows.
func (f *fleet) servers() []string {
	f.t.Helper()
	list := parse[[]instances.Document](f.t, f.ok("ls", "--output", "json").out)
	names := make([]string, 0, len(list))
	for _, i := range list {
		names = append(names, i.Server)
	}
	return names
}

// running waits until a server runs the given number of messages.
func (f *fleet) running(server string, count int64) {
	f.t.Helper()
	eventually(f.t, patient, server+" runs messages", func() bool {
		info := f.ok("info", "demo", "--server", server, "--output", "json")
		return parse[[]look.Profile](f.t, info.out)[0].Servers[0].Running == count
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("after %v this does not hold: %s", within, what)
		}
	}
}

// gone waits until a process has ended. In a container without an init process, the process may
// remain as a zombie.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, patient, "a process is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		zombie := err == nil && bytes.Contains(stat, []byte(") Z "))
		return zombie || syscall.Kill(pid, 0) == syscall.ESRCH
	})
}
