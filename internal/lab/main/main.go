//go:build linux

// Command main of the laboratory runs its scenarios: it is `make lab`. It prints a line for each
// scenario, the violations in full, and at the end how many passed and failed. Its exit code is 1
// if any failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/check"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/scenario"
)

func main() {
	role.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context) (ok bool, err error) {
	short := flag.Bool("short", false, "run the short form")
	list := flag.Bool("list", false, "list the scenarios, and run none")
	pattern := flag.String("run", "", "run only the scenarios whose name matches this regular expression")
	seed := flag.Uint64("seed", 0, "the seed of everything random; 0 takes a new one each time")
	keep := flag.String("keep", "", "keep all histories, in this directory; histories of failures are always kept")
	again := flag.String("check", "", "check the history in this directory again, and run nothing")
	flag.Parse()
	if *again != "" {
		return checkAgain(*again)
	}
	only, err := regexp.Compile(*pattern)
	if err != nil {
		return false, err
	}
	var selected []scenario.Scenario
	for _, s := range scenario.All() {
		if only.MatchString(s.Name) && (s.Short || !*short) {
			selected = append(selected, s)
		}
	}
	if *list {
		for _, s := range selected {
			fmt.Fprintf(os.Stdout, "%-28s %s\n", s.Name, s.What)
		}
		return true, nil
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	return runAll(ctx, selected, *keep, *seed, *short)
}

// runAll runs scenarios one after the other.
func runAll(ctx context.Context, selected []scenario.Scenario, keep string, seed uint64, short bool) (ok bool, err error) {
	dir := keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "oslorpc-lab-"); err != nil {
			return false, err
		}
		defer os.Remove(dir) // if nothing is left in it
	}
	fmt.Fprintf(os.Stdout, "%d scenarios, seed %d\n", len(selected), seed)
	began := time.Now()
	var passed, failed, skipped int
	for _, s := range selected {
		if ctx.Err() != nil {
			return false, errors.New("interrupted")
		}
		r := s.Perform(ctx, filepath.Join(dir, s.Name), seed, short)
		fmt.Fprintln(os.Stdout, r)
		fmt.Fprint(os.Stdout, r.Details())
		_, isSkipped := r.Skipped()
		switch {
		case isSkipped:
			skipped++
		case r.Passed():
			passed++
		default:
			failed++
		}
		if keep == "" && (r.Passed() || isSkipped) {
			_ = os.RemoveAll(r.Dir) // the next run has another directory
		}
	}
	fmt.Fprintf(os.Stdout, "%d skipped, in %v\n%d passed, %d failed\n", skipped, time.Since(began).Round(time.Second), passed, failed)
	return failed == 0, nil
}

func checkAgain(dir string) (ok bool, err error) {
	h, err := history.Read(dir)
	if err != nil {
		return false, err
	}
	found := check.Check(h, check.Default)
	for _, v := range found {
		fmt.Fprintf(os.Stdout, "%s: %v: %s\n", v.Promise, v.IDs, v.Text)
	}
	fmt.Fprintf(os.Stdout, "%d operations, %d executions, %d violations\n", len(h.Operations), len(h.Executions), len(found))
	return len(found) == 0, nil
}
