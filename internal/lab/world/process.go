//go:build linux

package world

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/freeze"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
)

// starting bounds the start of a process.
const starting = time.Minute

// stopping bounds the stop of a process.
const stopping = 90 * time.Second

// Process is a process with a role.
type Process struct {
	// Name is unique. Base is the name without a number, which later processes with the same role
	// share.
	Name   string
	base   string
	config role.Config
	cmd    *exec.Cmd
	ready  chan struct{} // closed when it is ready
	exited chan struct{}
	err    error // of the exit; read it after exited
	ops    atomic.Int64
	frozen bool
	killed bool
	log    string // the file of its standard error
}

// Place says where a process runs.
type Place struct {
	// Net is the network namespace of the process, nil for the lab's own.
	Net *Net
	// Procs is GOMAXPROCS, 0 for the default.
	Procs int
	// Env has additional environment variables.
	Env []string
	// Program is the file of another build of the laboratory, empty for this one.
	Program string
}

// launch starts a process without waiting until it is ready.
func (w *World) launch(name string, c role.Config, where Place) *Process {
	w.started[name]++
	unique := name
	if n := w.started[name]; n > 1 {
		unique = fmt.Sprintf("%s.%d", name, n)
	}
	c.Process, c.History, c.TLS = unique, w.dir, w.tls
	if c.URL == "" {
		c.URL = w.URL
	}
	p := &Process{
		Name: unique, base: name, config: c, ready: make(chan struct{}), exited: make(chan struct{}), log: filepath.Join(w.dir, unique+".log"),
	}
	encoded, err := json.Marshal(c)
	w.Must(err)
	self, err := os.Executable()
	w.Must(err)
	argv := where.Net.command(cmp.Or(where.Program, self))
	p.cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...) //nolint:gosec // Ours.
	p.cmd.Env = append(os.Environ(), role.Variable+"="+string(encoded))
	p.cmd.Env = append(p.cmd.Env, where.Env...)
	if where.Procs > 0 {
		p.cmd.Env = append(p.cmd.Env, "GOMAXPROCS="+strconv.Itoa(where.Procs))
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.Must(err)
	defer log.Close()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	w.Must(err)
	w.Must(p.start(out))
	w.processes[name] = p
	return p
}

// start starts the process in a separate process group, so that an interrupt of the laboratory does
// not reach it. It uses a thread that lives as long as the process, because the system kills the
// process when that thread ends, and so when the lab dies.
func (p *Process) start(out io.Reader) error {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.read(out)
			p.err = p.cmd.Wait()
		}
	}()
	return <-started
}

// read handles the output of the process until it ends.
func (p *Process) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == role.Ready {
			close(p.ready)
		} else if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
			p.ops.Store(n)
		}
	}
}

// await waits until a process is ready.
func (w *World) await(p *Process) {
	select {
	case <-p.ready:
	case <-p.exited:
		text, _ := os.ReadFile(p.log) // without it, the error is still clear
		w.Fatalf("%s did not start: %v\n%s", p.Name, p.err, text)
	case <-time.After(starting):
		w.Fatalf("%s did not start in %v", p.Name, starting)
	}
}

// process returns the latest process with a name.
func (w *World) process(name string) *Process {
	p := w.processes[name]
	if p == nil {
		w.Fatalf("there is no process %q", name)
	}
	return p
}

// signal records an event, and then sends a signal.
func (w *World) signal(name, what string, s syscall.Signal) *Process {
	p := w.process(name)
	w.Eventf(what, p.Name, "")
	_ = p.cmd.Process.Signal(s) // it may have ended
	return p
}

// Kill kills a process, and returns when it is dead.
func (w *World) Kill(name string) {
	w.Injectf("kill -9")
	p := w.signal(name, history.Killed, syscall.SIGKILL)
	p.killed = true
	w.end(p)
}

// Freeze freezes a process: its connections stay open, and it answers nothing.
func (w *World) Freeze(name string) {
	w.Injectf("SIGSTOP")
	p := w.signal(name, history.Frozen, syscall.SIGSTOP)
	_ = freeze.Process(p.cmd.Process) // it may have ended
	p.frozen = true
}

// Thaw ends a Freeze.
func (w *World) Thaw(name string) {
	w.signal(name, history.Thawed, syscall.SIGCONT).frozen = false
}

// More makes a server process that supports it start one more server.
func (w *World) More(name string) { w.signal(name, history.Noted, syscall.SIGUSR1) }

// Quit makes a server process that supports it stop its first server by force.
func (w *World) Quit(name string) {
	w.Injectf("one server of a process stopped by force")
	w.signal(name, history.Forced, syscall.SIGUSR1)
}

// Stop tells a process to stop, and returns when it has ended.
func (w *World) Stop(name string) { w.end(w.Terminate(name)) }

// Terminate tells a process to stop.
func (w *World) Terminate(name string) *Process {
	what := history.Stopped
	if p := w.process(name); p.config.Server != nil && p.config.Server.StopWithin > 0 {
		what = history.Forced
	}
	return w.signal(name, what, syscall.SIGTERM)
}

// end waits for the end of a process, and records it.
func (w *World) end(p *Process) {
	select {
	case <-p.exited:
	case <-time.After(stopping):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it writes its stacks to its log
		p.err = fmt.Errorf("it did not stop in %v", stopping)
		select {
		case <-p.exited:
			p.err = fmt.Errorf("it did not stop in %v, and was killed", stopping)
		case <-time.After(starting):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
	}
	detail := ""
	if p.err != nil && !p.killed {
		text, _ := os.ReadFile(p.log) // without it, the error is still clear
		detail = fmt.Sprintf("%v; its log ends with\n%s", p.err, text[max(0, len(text)-2000):])
	}
	w.Eventf(history.Ended, p.Name, "%s", detail)
	if w.processes[p.base] == p {
		delete(w.processes, p.base)
	}
}

// stopAll stops the clients, which wait for outstanding operations, and then the servers.
func (w *World) stopAll() {
	for _, p := range w.processes {
		if p.frozen {
			w.Eventf(history.Thawed, p.Name, "")
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	w.StopLoad()
	var all []*Process
	for name := range w.processes {
		all = append(all, w.Terminate(name))
	}
	for _, p := range all {
		w.end(p)
	}
}
