// Package child runs servers of this program as child processes, and collects their output.
package child

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

// Server is a server in a child process. It ends at the latest when this process ends.
type Server struct {
	Name string
	Cmd  *exec.Cmd
	// Exited is closed when the process has ended.
	Exited chan struct{}

	input io.Closer // the server ends when its input does; the end of this process closes it
}

// Start starts a server, which prints to a transcript. It returns the server and the line that says
// that the server is ready.
func Start(ctx context.Context, cmd *exec.Cmd, name string, output *Transcript) (*Server, Line, error) {
	place := output.End()
	s := &Server{Name: name, Cmd: cmd, Exited: make(chan struct{})}
	printer := output.Of(name)
	cmd.Args = append(cmd.Args, "--until-input-ends")
	cmd.Stdout, cmd.Stderr = printer, printer
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, Line{}, err
	}
	s.input = input
	if err := cmd.Start(); err != nil {
		return nil, Line{}, err
	}
	go func() {
		defer close(s.Exited)
		_ = cmd.Wait() // cmd.ProcessState says how it ended
	}()
	ready, err := s.ready(ctx, place, output)
	if err != nil {
		s.Kill()
		return nil, Line{}, err
	}
	return s, ready, nil
}

func (s *Server) ready(ctx context.Context, place int, output *Transcript) (Line, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.Exited:
			cancel(errors.New("it ended"))
		case <-ctx.Done():
		}
	}()
	found, err := output.Find(ctx, place, 1, func(l Line) bool { return l.By == s.Name && strings.Contains(l.Text, "ready") })
	if err != nil {
		return Line{}, fmt.Errorf("server %s is not ready: %w: %w", s.Name, context.Cause(ctx), err)
	}
	return found[0], nil
}

// Environment returns the environment of this program with another transport URL.
func Environment(url string) []string {
	return append(os.Environ(), oslorpc.TransportURLVariable+"="+url)
}

// Kill kills the process and returns when it has ended.
func (s *Server) Kill() {
	_ = s.Cmd.Process.Kill() // it may have ended already
	<-s.Exited
	_ = s.input.Close() // no process reads it
}
