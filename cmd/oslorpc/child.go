package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// child is a server in a process of its own, which lives no longer than this one.
type child struct {
	name   string
	cmd    *exec.Cmd
	input  io.Closer // the server ends when it is closed, also by the end of this process
	exited chan struct{}
}

// startChild starts a server, which prints to a transcript, and returns it with the line that says that it is ready.
func startChild(ctx context.Context, cmd *exec.Cmd, name string, output *transcript) (*child, line, error) {
	place := output.end()
	c := &child{name: name, cmd: cmd, exited: make(chan struct{})}
	printer := output.of(name)
	cmd.Args = append(cmd.Args, "--until-input-ends")
	cmd.Stdout, cmd.Stderr = printer, printer
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, line{}, err
	}
	c.input = input
	if err := cmd.Start(); err != nil {
		return nil, line{}, err
	}
	go func() {
		defer close(c.exited)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	ready, err := c.ready(ctx, place, output)
	if err != nil {
		c.kill()
		return nil, line{}, err
	}
	return c, ready, nil
}

func (c *child) ready(ctx context.Context, place int, output *transcript) (line, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.exited:
			cancel(errors.New("it ended"))
		case <-ctx.Done():
		}
	}()
	found, err := output.find(ctx, place, 1, func(l line) bool { return l.by == c.name && strings.Contains(l.text, "ready") })
	if err != nil {
		return line{}, fmt.Errorf("server %s is not ready: %w: %w", c.name, context.Cause(ctx), err)
	}
	return found[0], nil
}

// environment returns this program's, with another transport.
func environment(url string) []string {
	return append(os.Environ(), oslorpc.TransportURLVariable+"="+url)
}

// kill returns when the process is dead.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be dead already
	<-c.exited
	_ = c.input.Close() // a pipe to nobody
}
