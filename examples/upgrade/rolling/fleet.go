package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// size is the number of servers.
const size = 5

// These are the releases before and after the upgrade.
const (
	oldRelease = "1.1"
	newRelease = "1.2"
)

// fleet has the servers. Nil stands for a stopped one.
type fleet struct {
	program, url string
	servers      [size]*process
}

// startAll starts all servers concurrently, at the old release.
func (f *fleet) startAll(ctx context.Context) error {
	failures := make([]error, size)
	var starting sync.WaitGroup
	for i := range f.servers {
		starting.Go(func() { failures[i] = f.start(ctx, i, oldRelease) })
	}
	starting.Wait()
	return errors.Join(failures...)
}

func (f *fleet) start(ctx context.Context, i int, release string) (err error) {
	f.servers[i], err = startProcess(ctx, f.program, f.url, name(i), release)
	return err
}

func (f *fleet) stop(i int) error {
	p := f.servers[i]
	f.servers[i] = nil
	return p.stop()
}

// stopAll stops all running servers.
func (f *fleet) stopAll() error {
	failures := make([]error, size)
	var stopping sync.WaitGroup
	for i, p := range f.servers {
		if p != nil {
			stopping.Go(func() { failures[i] = f.stop(i) })
		}
	}
	stopping.Wait()
	return errors.Join(failures...)
}

func name(i int) string { return fmt.Sprint("node", i+1) }

// release returns the release of a server, empty if it is stopped.
func (f *fleet) release(i int) string {
	if p := f.servers[i]; p != nil {
		return p.release
	}
	return ""
}

// ceiling returns the correct automatic cap: the latest version that all servers implement, and the
// names of the servers that implement no later one.
func (f *fleet) ceiling() (version oslorpc.Version, holders map[string]bool) {
	for i := range f.servers {
		v, err := rpc.ParseVersion(f.release(i))
		switch {
		case err != nil: // it is stopped
		case holders == nil || v.Compare(version) < 0:
			version, holders = v, map[string]bool{name(i): true}
		case v == version:
			holders[name(i)] = true
		}
	}
	return version, holders
}
