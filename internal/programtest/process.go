package programtest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/freeze"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Process is a running program. Only the goroutine of the test may call its methods.
type Process struct {
	// Name is the program with its arguments.
	Name string

	tb   testing.TB
	cmd  *exec.Cmd
	log  log
	over chan struct{} // closed after the last line

	terminated bool // it was told to stop

	mu      sync.Mutex
	lines   []line // printed, and not awaited yet
	changed chan struct{}
}

// line is a line that a process printed on standard output. If tests also wait for lines of the
// log, it may be one of these.
type line struct {
	text   string
	logged bool
}

// log is what a process wrote to standard error.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// running are the processes that each test started.
var running = struct {
	sync.Mutex

	of map[testing.TB][]*Process
}{of: map[testing.TB][]*Process{}}

// Start starts a program. At the end of the test, all programs of the test are told to stop, and
// must stop. If the test failed, the log of the program is shown.
func Start(tb testing.TB, url, program string, args ...string) *Process {
	tb.Helper()
	return start(tb, program, slices.Concat(args, []string{"--transport", url}), os.Environ())
}

// StartAsIs is like Start, for a program without flags. The environment tells such a program how to
// find others.
func StartAsIs(tb testing.TB, url, program string) *Process {
	tb.Helper()
	return start(tb, program, nil, append(os.Environ(), oslorpc.TransportURLVariable+"="+url))
}

// Path returns the file of a program that [Main] built.
func Path(program string) string { return filepath.Join(bin, program) }

func start(tb testing.TB, program string, args, environment []string) *Process {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), Path(program), args...) //nolint:gosec // They are ours.
	cmd.Env = environment
	p := newProcess(tb, strings.Join(append([]string{program}, args...), " "), cmd)
	cmd.Stderr = &p.log
	p.start(func(line string) string { return line })
	running.Lock()
	defer running.Unlock()
	if running.of[tb] == nil {
		tb.Cleanup(func() { stopAll(tb) })
	}
	running.of[tb] = append(running.of[tb], p)
	return p
}

// stopAll stops all processes of a test concurrently, since each waits a moment for outstanding
// messages.
func stopAll(tb testing.TB) {
	running.Lock()
	all := running.of[tb]
	delete(running.of, tb)
	running.Unlock()
	for _, p := range all {
		p.terminate()
	}
	for _, p := range all {
		p.Stop()
	}
	for _, p := range all {
		if tb.Failed() {
			tb.Logf("%s also printed %q, and logged\n%s", p.Name, p.rest(), p.Log())
		}
	}
}

func newProcess(tb testing.TB, name string, cmd *exec.Cmd) *Process {
	return &Process{Name: name, tb: tb, cmd: cmd, over: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// start starts the process and reads what it prints. As changes each line before the test sees it.
func (p *Process) start(as func(string) string) {
	p.tb.Helper()
	depend()
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	go func() {
		defer close(p.over)
		p.read(stdout, as, false)
	}()
}

func (p *Process) read(from io.Reader, as func(string) string, logged bool) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, line{as(lines.Text()), logged})
		p.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// Await waits until there is a line for each of the texts, and returns the last line.
func (p *Process) Await(texts ...string) (found string) {
	p.tb.Helper()
	return p.awaitFor(patience, texts...)
}

// awaitFor is like Await, with the given patience.
func (p *Process) awaitFor(patience time.Duration, texts ...string) (found string) {
	p.tb.Helper()
	deadline := time.After(patience)
	for _, text := range texts {
		for {
			var is bool
			if found, is = p.Take(text); is {
				break
			}
			select {
			case <-p.changed:
			case <-deadline:
				p.tb.Fatalf("%s did not print %q in time; it printed %q", p.Name, text, p.rest())
			}
		}
	}
	return found
}

// Take removes and returns the first printed line that contains the text. It does not wait for such
// a line.
func (p *Process) Take(text string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, l := range p.lines {
		if strings.Contains(l.text, text) {
			p.lines = slices.Delete(p.lines, i, i+1)
			return l.text, true
		}
	}
	return "", false
}

// rest returns the lines that were printed and not awaited, except for empty lines.
func (p *Process) rest() (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if !l.logged && l.text != "" {
			texts = append(texts, l.text)
		}
	}
	return texts
}

// Log returns what the process has written to standard error.
func (p *Process) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// Signal sends a signal. If the signal tells the process to stop, Signal returns when the process
// has stopped.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	send := func() error { return p.cmd.Process.Signal(s) }
	if s == syscall.SIGSTOP {
		send = func() error { return freeze.Process(p.cmd.Process) }
	}
	if err := send(); err != nil {
		p.tb.Fatal(err)
	}
}

// Kill kills the process and returns when it is dead.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.over
	_ = p.cmd.Wait()
}

// Stop tells the process to stop and returns when it has ended, which must be without an error. If
// the test already failed, Stop kills the process. If the process has already ended, Stop does
// nothing.
func (p *Process) Stop() {
	p.tb.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	if p.tb.Failed() {
		p.Kill()
		return
	}
	p.terminate()
	if code := p.Ended(); code != 0 {
		p.tb.Errorf("%s was told to stop and ended with %v", p.Name, p.cmd.ProcessState)
	}
}

// terminate tells the process to stop, unless the process has ended.
func (p *Process) terminate() {
	if p.cmd.ProcessState == nil && !p.terminated {
		p.terminated = true // a second signal might end it at once
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// Ended waits until the process ends by itself and returns its exit code. If that takes too long,
// Ended kills the process and returns -1.
func (p *Process) Ended() (code int) {
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.over
	_ = p.cmd.Wait() // how it ended is in its state
	return p.cmd.ProcessState.ExitCode()
}

// Until waits until so returns true.
func Until(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("this did not happen in time: %s", what)
		}
	}
}
