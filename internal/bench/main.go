// Command bench compares oslorpc with plain grpc-go over loopback TCP, both ends in this process.
// It prints a line each
//
//	name median q1 q3 ours raw
//
// where the figure is the ratio of the times per operation, ours / raw, with the same bytes on the
// wire and the same deadline, and ours and raw are the medians of the times themselves, in
// microseconds. A name that ends in -ns has no counterpart: its figure is nanoseconds. The
// counterpart of policy-1k-64, which has TLS and a policy of 100 rules, is ours with TLS alone.
//
// Both sides run in turn, for a round each. The figures are the median and the quartiles over the
// rounds, since a single round on a shared machine says next to nothing; many short rounds say more
// than a few long ones.
//
// To see where the time goes, profile one side:
//
//	go test ./internal/bench -run '^$' -bench 'Sides/call-1k-64/ours' -cpuprofile cpu.out
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"
)

func main() {
	if err := run(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	rounds := flags.Int("rounds", 31, "how often each side runs")
	roundTime := flags.Duration("round-time", 150*time.Millisecond, "how long a side runs in a round")
	only := flags.String("run", "", "run only the lines whose name matches this regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	if *rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	selected := slices.DeleteFunc(slices.Clone(cases), func(c testCase) bool {
		return !slices.ContainsFunc(c.names, pattern.MatchString)
	})
	if len(selected) == 0 {
		return fmt.Errorf("no line has a name that matches %q", *only)
	}
	fmt.Fprintf(out, rowFormat, "name", "median", "q1", "q3", "ours-us", "raw-us")
	for _, c := range selected {
		lines, err := c.run(ctx, *rounds, *roundTime)
		if err != nil {
			return fmt.Errorf("%s: %w", c.names[0], err)
		}
		for i, l := range lines {
			if pattern.MatchString(c.names[i]) {
				l.print(out, c.names[i])
			}
		}
	}
	return nil
}

// testCase compares two workloads, which are alternated so that both see the same machine.
type testCase struct {
	// names are those of the lines.
	names []string
	// open makes the workloads ready; cleanup undoes it.
	open func(ctx context.Context) (a, b workload, cleanup func() error, err error)
	// lines makes the lines of the nanoseconds per operation of each round.
	lines func(a, b []float64) []line
}

func (c testCase) run(ctx context.Context, rounds int, roundTime time.Duration) (lines []line, err error) {
	a, b, cleanup, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := cleanup(); err == nil {
			err = e
		}
	}()
	as, bs, err := alternate(a, b, rounds, roundTime)
	if err != nil {
		return nil, err
	}
	return c.lines(as, bs), nil
}

// line is one line of the table. Ours and raw are 0 where there is nothing to compare.
type line struct {
	quartiles
	ours, raw time.Duration
}

const rowFormat = "%-16s %10s %10s %10s %10s %10s\n"

func (l line) print(out io.Writer, name string) {
	cell := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond))
	}
	figure := func(f float64) string { return fmt.Sprintf("%.2f", f) }
	fmt.Fprintf(out, rowFormat, name, figure(l.median), figure(l.q1), figure(l.q3), cell(l.ours), cell(l.raw))
}

// ratio makes the one line of a comparison of ours with the raw counterpart.
func ratio(ours, raw []float64) []line {
	l := line{quartiles: summarize(quotients(ours, raw))}
	l.ours, l.raw = time.Duration(summarize(ours).median), time.Duration(summarize(raw).median)
	return []line{l}
}

// absolute makes a line of each side.
func absolute(a, b []float64) []line {
	return []line{{quartiles: summarize(a)}, {quartiles: summarize(b)}}
}

// absoluteAndRatio makes a line of each side and one of the ratio, the second to the first.
func absoluteAndRatio(a, b []float64) []line {
	return append(absolute(a, b), line{quartiles: summarize(quotients(b, a))})
}
