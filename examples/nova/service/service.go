// Package service is the common part of the example's programs: their flags, and how they start and
// end.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Service is a running program.
type Service struct {
	Host   string
	Config rpcapi.Config
	// Cells are the cells that the program uses, including its own.
	Cells *rpcapi.Cells
	// Out gets lines about what the program does.
	Out *log.Logger

	name      string
	transport string
	cells     named
	levels    named
	options   []oslorpc.TransportOption
}

// named are values by name, as a flag that may be repeated.
type named map[string]string

func (n named) String() string { return strings.Join(slices.Sorted(maps.Keys(n)), ",") }

func (n named) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || value == "" {
		return errors.New("it must be NAME=VALUE")
	}
	n[name] = value
	return nil
}

// Main is the main function of a program: it runs run until run returns. Its ctx ends when the
// program is told to stop. The program's own flags must be defined before. The options are for its
// transports.
func Main(name string, run func(ctx context.Context, s *Service) error, options ...oslorpc.TransportOption) {
	s := &Service{
		name: name, cells: named{}, levels: named{}, options: options,
		Out: log.New(os.Stdout, "", 0), // a Logger writes whole lines from any goroutine
	}
	s.flags(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := s.main(ctx, run)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func (s *Service) flags(f *flag.FlagSet) {
	f.StringVar(&s.transport, "transport", "", "how programs of this cell find each other, as a `URL` (default $OSLORPC_TRANSPORT_URL, or local://)")
	f.StringVar(&s.Host, "host", hostname(), "the `name` of this host")
	f.Var(s.cells, "cell", "another cell, as `NAME=URL`; may be given again")
	f.Var(s.levels, "upgrade-level", "the latest version to send to a service, as `SERVICE=LEVEL`: the service is compute, conductor or scheduler, "+
		"the level a version, a release, auto or none; may be given again (default compute=auto)")
	f.DurationVar(&s.Config.ResponseTimeout, "rpc-response-timeout", time.Minute, "how long a call may take, and a cast may wait for its server")
	f.DurationVar(&s.Config.LongTimeout, "long-rpc-timeout", 30*time.Minute, "how long a call may take that waits for work")
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func (s *Service) main(ctx context.Context, run func(context.Context, *Service) error) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	s.options = append(s.options, oslorpc.WithCallerName(s.name+"@"+s.Host))
	s.Cells, err = rpcapi.OpenCells(s.transport, s.cells, s.Config, s.options...)
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, s), s.Cells.Close())
}

// check returns an error if the command line is invalid.
func (s *Service) check() error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the program accepts only flags; see --help", flag.Arg(0))
	}
	if s.Host == "" {
		return errors.New("--host is required: give the name of this host")
	}
	if s.Config.ResponseTimeout <= 0 || s.Config.LongTimeout <= 0 {
		return errors.New("timeouts must be positive")
	}
	levels := &s.Config.UpgradeLevels
	services := map[string]*string{"compute": &levels.Compute, "conductor": &levels.Conductor, "scheduler": &levels.Scheduler}
	for name, level := range s.levels {
		known, ok := services[name]
		if !ok {
			return fmt.Errorf("there is no service %q to set the upgrade level of, but compute, conductor and scheduler", name)
		}
		*known = level
	}
	return levels.Check()
}

// Sayf prints what the program does.
func (s *Service) Sayf(format string, args ...any) {
	s.Out.Print(s.Host + ": " + fmt.Sprintf(format, args...))
}

// stopTime bounds how long a server may take to finish its work.
const stopTime = 10 * time.Second

// Serve runs servers until ctx ends.
func (s *Service) Serve(ctx context.Context, servers ...*oslorpc.Server) error {
	for _, server := range servers {
		if err := server.Start(ctx); err != nil {
			return Ended(ctx, err)
		}
	}
	s.Sayf("%s is ready", s.name)
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	failures := make([]error, len(servers))
	for i, server := range servers {
		failures[i] = server.Stop(ctx)
	}
	return errors.Join(failures...)
}

// Ended returns an error, unless the end of ctx caused it.
func Ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
