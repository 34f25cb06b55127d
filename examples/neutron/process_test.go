// Package neutron tests the programs of the example as processes, and what the README says.
package neutron

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// bin is where the programs are.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "neutron")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir
	if out, err := exec.Command("go", "build", "-o", bin+"/", "./neutron-server", "./neutron-agent").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		_ = os.RemoveAll(bin)
		os.Exit(1)
	}
	leak.Main(m, func() { _ = os.RemoveAll(bin) })
}

// patience is how long a test waits for what should happen soon.
const patience = 30 * time.Second

// onEach runs a test on the embedded registry and on Consul.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		test(t, local(t))
	})
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		test(t, consultest.Start(t).URL())
	})
}

func local(t *testing.T) string { return "local://" + filepath.Join(t.TempDir(), "registry") }

// process is a program that runs.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd

	mu      sync.Mutex
	lines   []string // what it printed and nobody awaited yet
	changed chan struct{}
	over    chan struct{} // closed when it prints no more
}

// start starts a program. At the end of the test it is told to stop, and must.
func start(t *testing.T, url, program string, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, name: strings.Join(append([]string{program}, args...), " "),
		cmd:     exec.Command(filepath.Join(bin, program), append(args, "--transport", url)...),
		changed: make(chan struct{}, 1), over: make(chan struct{}),
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p.cmd.Stderr = &log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() { // then it is dead, and writes no more
			t.Logf("%s logged\n%s", p.name, &log)
		}
	})
	go p.read(bufio.NewScanner(stdout), func(line string) string { return line })
	t.Cleanup(p.stop)
	return p
}

// read takes in what the process prints, each line as it is for the test.
func (p *process) read(lines *bufio.Scanner, as func(string) string) {
	defer close(p.over)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, as(lines.Text()))
		p.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// await waits for a line with each of the texts, and returns the last one.
func (p *process) await(texts ...string) (line string) {
	p.t.Helper()
	deadline := time.After(patience)
	for _, text := range texts {
		for {
			var found bool
			if line, found = p.take(text); found {
				break
			}
			select {
			case <-p.changed:
			case <-deadline:
				p.t.Fatalf("%s does not print %q in time, but %q", p.name, text, p.lines)
			}
		}
	}
	return line
}

// take removes the first line with a text.
func (p *process) take(text string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, line := range p.lines {
		if strings.Contains(line, text) {
			p.lines = append(p.lines[:i:i], p.lines[i+1:]...)
			return line, true
		}
	}
	return "", false
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill kills the process, and returns when it is dead.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.over
	_ = p.cmd.Wait()
}

// stop tells the process to stop, and returns when it has.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	if p.t.Failed() {
		p.kill()
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.over
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s, told to stop: %v", p.name, err)
	}
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in time, it does not come to this: %s", what)
		}
	}
}

// operator sends what an operator would.
type operator struct {
	t         *testing.T
	transport *oslorpc.Transport
}

func newOperator(t *testing.T, url string) operator {
	t.Helper()
	transport, err := oslorpc.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return operator{t, transport}
}

// ask calls a method, at the version of a target.
func ask[R any](o operator, target oslorpc.Target, method string, args map[string]any) R {
	o.t.Helper()
	result, err := oslorpc.Call[R](o.t.Context(), o.transport.Client(target, oslorpc.WithTimeout(patience)), method, args)
	if err != nil {
		o.t.Fatal(err)
	}
	return result
}

var api = oslorpc.Target{Topic: "neutron"}
