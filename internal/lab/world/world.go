//go:build linux

// Package world is what scenarios act on: processes, discovery, networks and disks, which it
// makes, breaks, and removes. Its methods are for the goroutine of the scenario. What goes wrong
// with the world itself ends the scenario by a panic, which [Run] turns into an error.
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

// topic is what servers serve and clients send to unless a scenario says otherwise.
const topic = "lab"

// World is the surroundings of one scenario.
type World struct {
	// Short: the scenario is to be brief, on a machine that may be slow.
	Short bool
	// Seed is what everything random comes from, and Random makes of it.
	Seed   uint64
	Random *rand.Rand
	// URL is the transport URL of processes that are started.
	URL string

	// host is an address of the loopback interface that no other program is likely to use: a server
	// that was killed must not be followed by a stranger at its address, unless a scenario wants
	// that.
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

// worlds counts the worlds of this process.
var worlds atomic.Int32

// Skip is the error of a scenario that cannot run on this machine.
type Skip struct{ Reason string }

// Error implements error.
func (s Skip) Error() string { return "skipped: " + s.Reason }

// broken is what the world panics with.
type broken struct{ err error }

// Run runs a scenario in a new world, stops what it started, and returns what was injected. The
// history is in dir. When ctx ends, the scenario breaks off; what it made is removed all the same.
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

// attempt returns what a function panics with, if that is ours.
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

// Must ends the scenario if there is an error.
func (w *World) Must(err error) {
	if err != nil {
		panic(broken{err})
	}
}

// Fatalf ends the scenario.
func (w *World) Fatalf(format string, args ...any) { w.Must(fmt.Errorf(format, args...)) }

// Skipf ends the scenario: this machine cannot run it.
func (w *World) Skipf(format string, args ...any) { w.Must(Skip{fmt.Sprintf(format, args...)}) }

func (w *World) cleanup(do func()) { w.cleanups = append(w.cleanups, do) }

// Scale returns how long or how many: the first figure, or the second in a short run.
func Scale[T any](w *World, long, short T) T {
	if w.Short {
		return short
	}
	return long
}

// Eventf writes down that something happens to a process; an empty name is all.
func (w *World) Eventf(what, process, format string, args ...any) {
	w.out.Write(history.Record{Event: &history.Event{What: what, Process: process, Detail: fmt.Sprintf(format, args...), At: time.Now()}})
}

// Injectf writes down a fault, and remembers it for the summary.
func (w *World) Injectf(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	if !slices.Contains(w.injected, fault) {
		w.injected = append(w.injected, fault)
	}
	w.Eventf(history.Noted, "", "%s", fault)
}

// Excuse says that from now on, until the returned function is called, operations may fail as one
// of these kinds, for a reason.
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

// Violatedf writes down that the scenario saw a promise broken.
func (w *World) Violatedf(promise, format string, args ...any) {
	w.out.Write(history.Record{Violation: &history.Violation{Promise: promise, Text: fmt.Sprintf(format, args...)}})
}

// Wait lets things go on for a while.
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

// Until waits until something is so, and ends the scenario if that takes too long.
func (w *World) Until(what string, limit time.Duration, so func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !so(); <-tick.C {
		switch {
		case w.ctx.Err() != nil:
			w.Must(errInterrupted)
		case time.Now().After(deadline):
			w.Fatalf("after %v it has not come to this: %s", limit, what)
		}
	}
}

// Scratch returns a new directory for whatever.
func (w *World) Scratch(name string) string {
	dir := filepath.Join(w.scratch, name)
	w.Must(os.MkdirAll(dir, 0o700))
	return dir
}

// History reads what has been written so far.
func (w *World) History() *history.History {
	h, err := history.Read(w.dir)
	w.Must(err)
	return h
}

// Local returns the URL of a registry of the world's own.
func (w *World) Local() string { return "local://" + filepath.Join(w.scratch, "registry") }

// LocalDir returns the directory of that registry.
func (w *World) LocalDir() string { return filepath.Join(w.scratch, "registry") }
