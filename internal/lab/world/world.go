//go:build linux

// Package world has the surroundings of scenarios: processes, discovery, networks and disks. It
// makes them, breaks them, and removes them. Its methods are for the goroutine of the scenario. If
// the world itself fails, the scenario ends with a panic, which [Run] converts to an error.
package world

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// topic is the default topic of servers and clients.
const topic = "lab"

// World is the surroundings of one scenario.
type World struct {
	// Short is true for a short run, on a machine that may be slow.
	Short bool
	// Seed is the seed of Random.
	Seed   uint64
	Random *rand.Rand
	// URL is the transport URL of processes that are started from now on.
	URL string

	// host is an address of the loopback interface that other programs probably do not use. After a
	// server was killed, no other program must appear at its address, unless a scenario wants that.
	host      string
	ctx       context.Context //nolint:containedctx // It is the scenario's.
	dir       string          // of the history
	scratch   string          // for everything else
	out       *history.Writer
	processes map[string]*Process
	started   map[string]int // how many processes a name has had
	loads     []*Process
	tls       string
	injected  []string
	cleanups  []func()
}

// worlds counts the worlds in this process.
var worlds atomic.Int32

// Skip is the error of a scenario that cannot run on this machine.
type Skip struct{ Reason string }

// Error implements error.
func (s Skip) Error() string { return "skipped: " + s.Reason }

// broken is the value of the world's panics.
type broken struct{ err error }

// Run runs a scenario in a new world, stops everything that it started, and returns the injected
// faults. The history is in dir. If ctx ends, the scenario is aborted, and everything is removed as
// well.
func Run(ctx context.Context, dir string, seed uint64, short bool, scenario func(*World)) (injected []string, err error) {
	scratch, err := os.MkdirTemp("", "oslorpclab")
	if err != nil {
		return nil, err
	}
	out, err := history.Create(dir, "lab")
	if err != nil {
		return nil, err
	}
	w := &World{
		ctx: ctx, Short: short, Seed: seed, Random: rand.New(rand.NewPCG(seed, 0)), dir: dir, scratch: scratch, out: out,
		processes: map[string]*Process{}, started: map[string]int{},
	}
	w.URL = w.Local()
	pid := os.Getpid()
	w.host = fmt.Sprintf("127.%d.%d.%d", 64+worlds.Add(1)%64, pid>>8%256, pid%254+1)
	w.cleanup(func() { _ = os.RemoveAll(scratch) })
	err = errors.Join(w.attempt(func() { scenario(w) }), w.attempt(w.stopAll))
	for _, clean := range slices.Backward(w.cleanups) {
		err = errors.Join(err, w.attempt(clean))
	}
	return w.injected, errors.Join(err, out.Close())
}

// attempt returns the error of a function that panics with a broken value.
func (w *World) attempt(do func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			err = p.err
		default:
			panic(p)
		}
	}()
	do()
	return nil
}

// Must ends the scenario if err is not nil.
func (w *World) Must(err error) {
	if err != nil {
		panic(broken{err})
	}
}

// Fatalf ends the scenario.
func (w *World) Fatalf(format string, args ...any) { w.Must(fmt.Errorf(format, args...)) }

// Skipf ends the scenario, because this machine cannot run it.
func (w *World) Skipf(format string, args ...any) { w.Must(Skip{fmt.Sprintf(format, args...)}) }

func (w *World) cleanup(do func()) { w.cleanups = append(w.cleanups, do) }

// Scale returns the first value, or the second in a short run.
func Scale[T any](w *World, long, short T) T {
	if w.Short {
		return short
	}
	return long
}

// Eventf records an event of a process. An empty name means all processes.
func (w *World) Eventf(what, process, format string, args ...any) {
	w.out.Write(history.Record{Event: &history.Event{What: what, Process: process, Detail: fmt.Sprintf(format, args...), At: time.Now()}})
}

// Injectf records a fault, also for the summary.
func (w *World) Injectf(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	if !slices.Contains(w.injected, fault) {
		w.injected = append(w.injected, fault)
	}
	w.Eventf(history.Noted, "", "%s", fault)
}

// Excuse declares that from now on, until the returned function is called, operations may fail with
// one of these kinds.
func (w *World) Excuse(why string, kinds ...string) (end func()) {
	return w.ExcuseForms(why, nil, kinds...)
}

// ExcuseForms is Excuse for operations of these forms only.
func (w *World) ExcuseForms(why string, forms []history.Form, kinds ...string) (end func()) {
	e := &history.Excuse{Why: why, From: time.Now(), Forms: forms, Kinds: kinds}
	written := false
	write := func() {
		if !written {
			written = true
			w.out.Write(history.Record{Excuse: e})
		}
	}
	w.cleanup(write)
	return func() { e.Until = time.Now(); write() }
}

// Violatedf records that the scenario saw a broken guarantee.
func (w *World) Violatedf(promise, format string, args ...any) {
	w.out.Write(history.Record{Violation: &history.Violation{Promise: promise, Text: fmt.Sprintf(format, args...)}})
}

// Wait waits for a while.
func (w *World) Wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.ctx.Done():
		w.Must(errInterrupted)
	}
}

var errInterrupted = errors.New("interrupted")

// Until waits for a condition, and ends the scenario if that takes too long.
func (w *World) Until(what string, limit time.Duration, so func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !so(); <-tick.C {
		switch {
		case w.ctx.Err() != nil:
			w.Must(errInterrupted)
		case time.Now().After(deadline):
			w.Fatalf("waited %v, and this did not happen: %s", limit, what)
		}
	}
}

// Scratch returns a new temporary directory.
func (w *World) Scratch(name string) string {
	dir := filepath.Join(w.scratch, name)
	w.Must(os.MkdirAll(dir, 0o700))
	return dir
}

// History reads the records that have been written so far.
func (w *World) History() *history.History {
	h, err := history.Read(w.dir)
	w.Must(err)
	return h
}

// Local returns the URL of a registry in the world's directory.
func (w *World) Local() string { return "local://" + filepath.Join(w.scratch, "registry") }

// LocalDir returns the directory of that registry.
func (w *World) LocalDir() string { return filepath.Join(w.scratch, "registry") }
