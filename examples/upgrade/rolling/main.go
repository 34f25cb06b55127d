// Rolling upgrades a fleet of five servers from 1.1 to 1.2, one by one and under load, and back
// down. It prints the progress, and fails if a call fails, or runs at a version that its server
// does not implement.
//
//	go run ./examples/upgrade/rolling
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

const serverPackage = "github.com/oslorpc/oslorpc/examples/upgrade/server"

func main() {
	var o options
	flag.StringVar(&o.url, "transport", "", "how the programs find each other, as a `URL`; the default is a directory of their own")
	flag.StringVar(&o.server, "server", "", "the server `program`; the default is to build it")
	flag.IntVar(&o.calls, "calls", 500, "the `number` of calls to see answered after each change of the fleet")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rolling:", err)
		os.Exit(1)
	}
}

// options are the options on the command line.
type options struct {
	url, server string
	calls       int
}

// run completes the options and runs the upgrade.
func (o options) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "upgrade-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.url == "" {
		o.url = "local://" + filepath.Join(dir, "registry")
	}
	if o.server == "" {
		o.server = filepath.Join(dir, "server")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.server, serverPackage).CombinedOutput(); err != nil { //nolint:gosec // It is ours.
			return fmt.Errorf("cannot build the server: run this in a clone of the repository, or give --server (%w)\n%s", err, out)
		}
	}
	return o.upgrade(ctx)
}

// upgrade runs the upgrade with a fleet and callers.
func (o options) upgrade(ctx context.Context) (err error) {
	t, err := oslorpc.Open(o.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	f := &fleet{program: o.server, url: o.url}
	defer func() { err = errors.Join(err, f.stopAll()) }()
	if err := f.startAll(ctx); err != nil {
		return err
	}
	l := startLoad(ctx, t)
	err = newTimeline(f, l, o.calls).run(ctx)
	err = errors.Join(err, l.stop())
	s := sum(&l.all)
	fmt.Printf("\n%d calls, %d at 1.1 and %d at 1.2; %d failed\n", s.calls, s.atOld, s.atNew, s.failed)
	return err
}
