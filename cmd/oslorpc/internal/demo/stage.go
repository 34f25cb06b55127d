package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/child"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// stage has the servers of a demo, and runs its commands.
type stage struct {
	out             io.Writer
	executable, url string
	dir             string            // where commands run
	environment     []string          // what commands have beside the URL
	output          *child.Transcript // of the servers
	servers         []*child.Server   // those that run
}

func (s *stage) heading(text string) { fmt.Fprintf(s.out, "\n== %s\n", text) }

func (s *stage) sayf(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// command returns a command of this program, and prints it.
func (s *stage) command(ctx context.Context, suffix string, words []string) *exec.Cmd {
	s.sayf("$ oslorpc %s%s", commandLine(words), suffix)
	cmd := exec.CommandContext(ctx, s.executable, words...) //nolint:gosec // It is this program, with words from demo.go.
	cmd.Env = child.Environment(s.url)
	for _, name := range trust.Variables() { // the servers of the demo are no part of a fleet that the user has
		cmd.Env = append(cmd.Env, name+"=")
	}
	cmd.Env = append(cmd.Env, s.environment...)
	cmd.Dir = s.dir
	return cmd
}

// start starts a server with a command and shows its output.
func (s *stage) start(ctx context.Context, name string, words ...string) error {
	cmd := s.command(context.WithoutCancel(ctx), " &", words)
	c, ready, err := child.Start(ctx, cmd, name, s.output)
	if err != nil {
		return fmt.Errorf("the demo did not start: %w", err)
	}
	s.servers = append(s.servers, c)
	s.sayf("%s", ready.Text)
	return nil
}

// show runs a command and shows its output.
func (s *stage) show(ctx context.Context, words ...string) error {
	cmd := s.command(ctx, "", words)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the demo's command %q failed: %w", "oslorpc "+commandLine(words), err)
	}
	return nil
}

// showFailing is like show, for a command that must fail with the given exit code.
func (s *stage) showFailing(ctx context.Context, code int, words ...string) error {
	cmd := s.command(ctx, "", words)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	err := cmd.Run()
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode() == code {
		s.sayf("# exit code %d", code)
		return nil
	}
	return fmt.Errorf("the demo's command %q ended with %w, and not with exit code %d", "oslorpc "+commandLine(words),
		cmp.Or(err, errors.New("success")), code)
}

// showRun is like show, for a command that sends a message to the method echo. It also prints the
// output of the count servers that run the method.
func (s *stage) showRun(ctx context.Context, count int, words ...string) error {
	place := s.output.End()
	if err := s.show(ctx, words...); err != nil {
		return err
	}
	ran, err := s.output.Find(ctx, place, count, func(l child.Line) bool { return strings.Contains(l.Text, " echo ") })
	if err != nil {
		return err
	}
	slices.SortFunc(ran, func(a, b child.Line) int { return strings.Compare(a.By, b.By) })
	for _, l := range ran {
		s.sayf("%s prints: %s", l.By, l.Text)
	}
	return nil
}

// kill kills a server, and prints the command that a user would type for that.
func (s *stage) kill(name string) {
	s.servers = slices.DeleteFunc(s.servers, func(c *child.Server) bool {
		if c.Name != name {
			return false
		}
		s.sayf("$ kill -9 %d    # %s", c.Cmd.Process.Pid, name)
		c.Kill()
		return true
	})
}

func (s *stage) killAll() {
	for _, c := range s.servers {
		c.Kill()
	}
}

// commandLine quotes words as a user would have to type them in a shell.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, needsQuotes) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func needsQuotes(r rune) bool {
	plain := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("_-./:=@%+,", r)
	return !plain
}
