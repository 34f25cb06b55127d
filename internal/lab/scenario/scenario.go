//go:build linux

// Package scenario has the scenarios of the laboratory. Each is a script that starts servers and
// load, injects faults, and waits. Then the history is checked.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/check"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// Scenario is a script.
type Scenario struct {
	// Name is the name on the command line. What describes the scenario in a sentence.
	Name string
	What string
	// Short is true if the scenario is part of the short form.
	Short bool
	Run   func(w *world.World)
}

// All returns the scenarios, in the order in which they run.
func All() []Scenario {
	return slices.Concat(processes, registries, disks, networks, peers, gateways, scale, typed)
}

// Result is the result of a scenario.
type Result struct {
	Scenario

	Seed       uint64
	Dir        string // of the history
	Took       time.Duration
	Operations int
	Executions int
	Injected   []string
	Violations []history.Violation
	// Err is why the scenario did not run to its end, or a [world.Skip].
	Err error
}

// Passed reports whether no guarantee was broken.
func (r *Result) Passed() bool { return r.Err == nil && len(r.Violations) == 0 }

// Skipped returns why the scenario could not run on this machine.
func (r *Result) Skipped() (reason string, is bool) {
	var skip world.Skip
	is = errors.As(r.Err, &skip)
	return skip.Reason, is
}

// Perform runs a scenario with its history in a directory, and checks it.
func (s Scenario) Perform(ctx context.Context, dir string, seed uint64, short bool) *Result {
	r := &Result{Scenario: s, Seed: seed, Dir: dir}
	if r.Err = os.MkdirAll(dir, 0o700); r.Err != nil {
		return r
	}
	began := time.Now()
	r.Injected, r.Err = world.Run(ctx, dir, seed, short, s.Run)
	r.Took = time.Since(began)
	h, err := history.Read(dir)
	if err != nil {
		r.Err = errors.Join(r.Err, err)
		return r
	}
	r.Operations, r.Executions = len(h.Operations), len(h.Executions)
	r.Violations = check.Check(h, check.Default)
	return r
}

// String formats the result on one line.
func (r *Result) String() string {
	verdict := "ok"
	reason, skipped := r.Skipped()
	switch {
	case skipped:
		return fmt.Sprintf("%-28s skipped  %s", r.Name, reason)
	case !r.Passed():
		verdict = "FAILED"
	}
	return fmt.Sprintf("%-28s %-7s %7.1fs %7d operations %7d executions  %s", r.Name, verdict, r.Took.Seconds(), r.Operations, r.Executions,
		strings.Join(r.Injected, ", "))
}

// mostShown is how many violations of one guarantee are shown in full.
const mostShown = 10

// Details returns the violations, and where the history is. It is empty if the scenario passed.
func (r *Result) Details() string {
	if _, skipped := r.Skipped(); skipped || r.Passed() {
		return ""
	}
	var b strings.Builder
	if r.Err != nil {
		fmt.Fprintf(&b, "  the scenario was aborted: %v\n", r.Err)
	}
	shown := map[string]int{}
	for _, v := range r.Violations {
		if shown[v.Promise]++; shown[v.Promise] <= mostShown {
			fmt.Fprintf(&b, "  %s: %s: %s\n", v.Promise, strings.Join(v.IDs, ", "), v.Text)
		}
	}
	for promise, n := range shown {
		if n > mostShown {
			fmt.Fprintf(&b, "  %s: %d violations in all\n", promise, n)
		}
	}
	fmt.Fprintf(&b, "  history: %s\n  again:   make lab RUN='^%s$' SEED=%d\n", r.Dir, r.Name, r.Seed)
	return b.String()
}
