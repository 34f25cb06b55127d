package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// demoTimeout is far more than a demo takes.
const demoTimeout = time.Minute

func (p *program) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Watch a fleet of three servers answer",
		Long: `Start three servers as processes of their own, and show what the other commands do with them: each is printed as
a person would type it, with what it prints. The servers find each other by way of a temporary directory; nothing
else is needed, and nothing is left behind.`,
		Example:               `  oslorpc demo`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(0, 0, "no arguments"),
		RunE:                  func(cmd *cobra.Command, _ []string) error { return p.demo(cmd.Context()) },
	}
}

func (p *program) demo(ctx context.Context) (err error) {
	if p.transport != "" {
		return usage("demo has a registry of its own: leave --transport out")
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the demo cannot start its servers: %w", err)
	}
	dir, err := os.MkdirTemp("", "oslorpc-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a temporary directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	s := &stage{
		out: p.out, executable: executable, url: (&url.URL{Scheme: "local", Path: dir}).String(), output: newTranscript(),
	}
	defer func() {
		s.killAll()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	err = s.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // what it interrupted failed for no other reason
	}
	return err
}

// run shows one thing after the other.
func (s *stage) run(ctx context.Context) error {
	for _, show := range []func(context.Context) error{
		s.showStart, s.showAnycast, s.showServer, s.showVersions, s.showArguments, s.showCast, s.showFanout, s.showMulticall, s.showKill,
	} {
		if err := show(ctx); err != nil {
			return err
		}
	}
	s.heading("Now by hand, in three terminals")
	for _, words := range []string{"serve --topic demo", "watch", "call demo whoami"} {
		s.sayf("%s %s", os.Args[0], words)
	}
	return nil
}

func (s *stage) showStart(ctx context.Context) error {
	s.heading("Three servers, each a process of its own; node3 is older than the others")
	s.sayf("They find each other in a directory: %s=%s", oslorpc.TransportURLVariable, s.url)
	for _, server := range []struct{ name, version string }{{"node1", "1.1"}, {"node2", "1.1"}, {"node3", "1.0"}} {
		if err := s.start(ctx, server.name, server.version); err != nil {
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
	s.heading("A call that needs version 1.1 goes only where it is; all have 1.0, as long as node3 is there")
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
	s.heading("A cast is accepted, and runs on one server")
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
	s.heading("One server is killed, and the fleet goes on")
	s.kill("node2")
	return errors.Join(s.show(ctx, "ls", "demo"), s.show(ctx, "call", "demo", "whoami", "-n", "4"))
}
