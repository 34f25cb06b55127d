package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// killAfter is how long a server may take to stop. Its own bound is shorter.
const killAfter = 20 * time.Second

// process is a server process.
type process struct {
	name, release string
	cmd           *exec.Cmd
	stdout        *bufio.Reader
}

// startProcess starts a server, and returns when the server reports that it is ready. If ctx ends
// first, it stops the server.
func startProcess(ctx context.Context, program, url, name, release string) (*process, error) {
	args := []string{"--transport", url, "--name", name, "--version", release}
	// The server continues when ctx ends, until the callers have ended.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...) //nolint:gosec // It is ours, or the user says which.
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, release: release, cmd: cmd, stdout: bufio.NewReader(stdout)}
	forget := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer forget()
	line, err := p.stdout.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready: ") {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("%s is not ready: %w", name, errors.Join(err, cmd.Wait()))
	}
	return p, nil
}

// stop tells the server to stop, and returns when it has finished its accepted messages.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(killAfter, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_, _ = io.Copy(io.Discard, p.stdout) // until it has ended
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}
