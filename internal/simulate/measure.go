package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/oslorpc/oslorpc/internal/cputime"
)

// usage is the current resource usage of the process.
type usage struct {
	heap       int64 // bytes of reachable objects and stacks
	goroutines int
}

// measure collects garbage, and returns the usage.
func measure() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: int64(m.HeapAlloc + m.StackInuse), goroutines: runtime.NumGoroutine()} //nolint:gosec // It fits.
}

// phase runs a phase, and prints its cost and the usage after it.
func (s *simulation) phase(ctx context.Context, name string, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, started := cputime.Used(), time.Now()
	err := run(ctx)
	took, spent := time.Since(started), cputime.Used()-before
	now := measure()
	fmt.Fprintf(s.out, "%-14s %8.2f s, %8.2f s of CPU, then %8.1f MiB, %7d goroutines\n",
		name, took.Seconds(), spent.Seconds(), float64(now.heap)/(1<<20), now.goroutines)
	if n := s.again.Swap(0); n > 0 {
		fmt.Fprintf(s.out, "  %d copies were sent again\n", n)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// price prints the cost of each connection, with both ends, from the usage before and after they
// were opened.
func (s *simulation) price(before, after usage) {
	n := int(s.network.Dialed())
	fmt.Fprintf(s.out, "  %d connections, %d goroutines each, %d KiB each\n",
		n, (after.goroutines-before.goroutines)/n, int(after.heap-before.heap)/n>>10)
}
