// Command bench compares oslorpc with plain grpc-go over loopback TCP, both ends in this process.
// It prints a line each
//
//	name median q1 q3 ours raw
//
// where the figure is the ratio of the times per operation, ours / raw, with the same bytes on the
// wire and the same compare.Deadline, and ours and raw are the medians of the times themselves, in
// microseconds. A name that ends in -ns has no counterpart: its figure is nanoseconds. The
// counterpart of policy-1k-64, which has TLS and a policy of 100 rules, is ours with TLS alone.
// The counterpart of typed-1k-1 and typed-1k-64 is the same generated stub and the same service on
// plain grpc-go. typed-bytes-1 and typed-bytes-64 send the same messages; their counterpart is an
// RPC of opaque bytes, as of the dynamic calls.
//
// With -cost, lines follow for the other costs of an operation, after each line that has a
// counterpart: cpu is processor time, which other processes on the machine hardly change, allocs is
// allocations, and bytes is what they take, in bytes in place of microseconds.
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

	"github.com/oslorpc/oslorpc/internal/bench/compare"
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
	all := flags.Bool("cost", false, "print processor time and allocations, too")
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
				l.print(out, c.names[i], *all)
			}
		}
	}
	return nil
}

// testCase compares two workloads, which are alternated so that both see the same machine.
type testCase struct {
	// names are the names of the lines.
	names []string
	// open makes the workloads ready; cleanup undoes it.
	open func(ctx context.Context) (a, b compare.Workload, cleanup func() error, err error)
	// lines makes the lines of the costs of each round.
	lines func(a, b compare.Costs) []line
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
	both, err := compare.Alternate(rounds, roundTime, a, b)
	if err != nil {
		return nil, err
	}
	return c.lines(both[0], both[1]), nil
}

// line is one line of the table. Ours and raw are 0 where there is nothing to compare.
type line struct {
	compare.Quartiles
	ours, raw float64
	// more are lines of other costs, by their names.
	more []part
}

type part struct {
	name string
	line
}

const rowFormat = "%-16s %10s %10s %10s %10s %10s\n"

func (l line) print(out io.Writer, name string, all bool) {
	cell := func(f float64) string {
		if f == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", f)
	}
	figure := func(f float64) string { return fmt.Sprintf("%.2f", f) }
	fmt.Fprintf(out, rowFormat, name, figure(l.Median), figure(l.Q1), figure(l.Q3), cell(l.ours), cell(l.raw))
	if !all {
		return
	}
	for _, p := range l.more {
		p.print(out, "  "+p.name, false)
	}
}

// ratio makes the line of a comparison of ours with the raw counterpart, and the lines of its
// parts.
func ratio(ours, raw compare.Costs) []line {
	l := between(ours.Time, raw.Time, time.Microsecond)
	l.more = []part{
		{"cpu", between(ours.CPU, raw.CPU, time.Microsecond)},
		{"allocs", between(ours.Allocs, raw.Allocs, 1)},
		{"bytes", between(ours.Bytes, raw.Bytes, 1)},
	}
	return []line{l}
}

// between makes a line of the figures of each side, which it prints in a unit.
func between(ours, raw []float64, unit time.Duration) line {
	l := line{Quartiles: compare.Summarize(compare.Quotients(ours, raw))}
	l.ours, l.raw = compare.Summarize(ours).Median/float64(unit), compare.Summarize(raw).Median/float64(unit)
	return l
}

// absolute makes a line of each side.
func absolute(a, b compare.Costs) []line {
	return []line{{Quartiles: compare.Summarize(a.Time)}, {Quartiles: compare.Summarize(b.Time)}}
}

// absoluteAndRatio makes a line of each side and one of the ratio, the second to the first.
func absoluteAndRatio(a, b compare.Costs) []line {
	return append(absolute(a, b), line{Quartiles: compare.Summarize(compare.Quotients(b.Time, a.Time))})
}
