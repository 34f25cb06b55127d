package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// starting and stopping are how long a program may take to start and to end.
	starting = time.Minute
	stopping = 40 * time.Second
	// shownLog is how many bytes of a program's log a failure shows.
	shownLog = 1500
)

// process is a running program. Its methods are safe for concurrent use.
type process struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	exited chan struct{} // closed when it has ended and all its output was read
	log    tail
}

// start starts a program. One goroutine passes each line that the program prints to take.
func start(ctx context.Context, name string, c command, take func(line []byte) error) (*process, error) {
	p := &process{name: name, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, c.argv[0], c.argv[1:]...) //nolint:gosec // Ours.
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), c.env...), &p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		defer close(p.exited)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				break
			}
			if err := take(line); err != nil {
				_, _ = fmt.Fprintf(&p.log, "it prints %.200q: %v\n", line, err)
			}
		}
		_ = p.cmd.Wait() // how it ended is in its state
	}()
	return p, nil
}

// kill kills the program and returns when it is dead.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// terminate tells the program to stop.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// ended waits until the program has ended. It returns an error if that takes too long or the exit
// code is not 0.
func (p *process) ended() error {
	select {
	case <-p.exited:
	case <-time.After(stopping):
		p.kill()
		return fmt.Errorf("%s did not end in %v%s", p.name, stopping, p.logged())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with %v%s", p.name, p.cmd.ProcessState, p.logged())
	}
	return nil
}

// logged returns the end of the program's log, for an error message.
func (p *process) logged() string {
	if text := p.log.String(); text != "" {
		return "; its log ends with\n" + text
	}
	return ""
}

// tail is a writer that keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = t.text.Write(text) // a buffer takes everything
	if excess := t.text.Len() - shownLog; excess > 0 {
		t.text.Next(excess)
	}
	return len(text), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text.String())
}

// decode decodes a line that a program printed.
func decode[T any](line []byte) (*T, error) {
	value := new(T)
	return value, json.Unmarshal(line, value)
}
