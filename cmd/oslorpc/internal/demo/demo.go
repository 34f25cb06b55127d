// Package demo has the command that demonstrates a fleet.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/child"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// timeout ends a demo that hangs. It is far longer than a demo takes.
const timeout = time.Minute

// Command returns the command.
func Command(p *cli.Program) *cobra.Command {
	secure := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a fleet of three servers answer",
		Long: `Start three servers as processes of their own, and show what the other commands do with them. The demo prints each
command as a user would type it, with its output. The servers find each other through a temporary directory. The demo
needs nothing else, and leaves nothing behind.

With --secure the servers have certificates and a policy. The demo shows a dry run, a denied call, how certificates and
their authority are replaced while calls go on, and an impostor that gets no message.`,
		Example: `  oslorpc demo
  oslorpc demo --secure`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if secure {
				return demo(cmd.Context(), p, (*stage).runSecure)
			}
			return demo(cmd.Context(), p, (*stage).run)
		},
	}
	cmd.Flags().BoolVar(&secure, "secure", false, "show certificates, a policy and an impostor")
	return cli.Offline(cmd, "demo connects only to its own servers, within this machine")
}

// demo runs a demonstration with a stage in a temporary directory.
func demo(ctx context.Context, p *cli.Program, run func(*stage, context.Context) error) (err error) {
	if p.Transport != "" {
		return cli.Usage("demo has a registry of its own: leave --transport out")
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the demo cannot start its servers: %w", err)
	}
	dir, err := os.MkdirTemp("", "oslorpc-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a temporary directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := &stage{
		out: p.Out, executable: executable, output: child.NewTranscript(), dir: dir,
		url: (&url.URL{Scheme: "local", Path: dir}).String(),
	}
	defer func() {
		s.killAll()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	err = run(s, ctx)
	if ctx.Err() != nil {
		return ctx.Err() // the interrupted step failed for no other reason
	}
	return err
}

// run shows all steps.
func (s *stage) run(ctx context.Context) error {
	err := inTurn(ctx, s.showStart, s.showAnycast, s.showServer, s.showVersions, s.showArguments, s.showCast, s.showFanout,
		s.showMulticall, s.showKill)
	if err != nil {
		return err
	}
	s.heading("Now by hand, in three terminals")
	for _, words := range []string{"serve --topic demo", "watch", "call demo whoami"} {
		s.sayf("%s %s", os.Args[0], words)
	}
	return nil
}

// inTurn runs steps until one fails.
func inTurn(ctx context.Context, steps ...func(context.Context) error) error {
	for _, show := range steps {
		if err := show(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) showStart(ctx context.Context) error {
	s.heading("Three servers, each a process of its own; node3 is older than the others")
	s.sayf("They find each other in a directory: %s=%s", oslorpc.TransportURLVariable, s.url)
	for _, server := range []struct{ name, version string }{{"node1", "1.1"}, {"node2", "1.1"}, {"node3", "1.0"}} {
		if err := s.start(ctx, server.name, "serve", "--topic", "demo", "--server", server.name, "--rpc-version", server.version); err != nil {
			return err
		}
	}
	return s.show(ctx, "ls", "demo")
}

func (s *stage) showAnycast(ctx context.Context) error {
	s.heading("A call goes to any server; they take turns")
	return s.show(ctx, "call", "demo", "whoami", "-n", "6")
}

func (s *stage) showServer(ctx context.Context) error {
	s.heading("A call to one server")
	return s.show(ctx, "call", "demo", "whoami", "--server", "node2", "-n", "2")
}

func (s *stage) showVersions(ctx context.Context) error {
	s.heading("A call that needs version 1.1 goes to node1 or node2; all servers have 1.0, as long as node3 runs")
	return errors.Join(
		s.show(ctx, "call", "demo", "whoami", "--rpc-version", "1.1", "-n", "4"),
		s.show(ctx, "versions", "demo"),
	)
}

func (s *stage) showArguments(ctx context.Context) error {
	s.heading("Arguments are text after =, and JSON after :=")
	return errors.Join(
		s.show(ctx, "call", "demo", "add", "a:=9007199254740993", "b:=1"),
		s.show(ctx, "call", "demo", "echo", "name=disk0", "size:=10", `tags:=["ssd", "boot"]`),
	)
}

func (s *stage) showCast(ctx context.Context) error {
	s.heading("One server accepts a cast, and runs it")
	return s.showRun(ctx, 1, "cast", "demo", "echo", "text=hello")
}

func (s *stage) showFanout(ctx context.Context) error {
	s.heading("A fanout runs on every server")
	return s.showRun(ctx, len(s.servers), "fanout", "demo", "echo", "text=everybody")
}

func (s *stage) showMulticall(ctx context.Context) error {
	s.heading("A multicall streams its results")
	return s.show(ctx, "multicall", "demo", "count", "n:=5", "interval:=0.1")
}

func (s *stage) showKill(ctx context.Context) error {
	s.heading("One server is killed, and the others answer")
	s.kill("node2")
	return errors.Join(s.show(ctx, "ls", "demo"), s.show(ctx, "call", "demo", "whoami", "-n", "4"))
}
