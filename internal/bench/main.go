// Command bench compares oslorpc with plain grpc-go over loopback TCP. Both ends are in this
// process. For each comparison, the command prints a line
//
//	name median q1 q3 ours raw
//
// The first figure is the ratio of the times per operation, ours / raw, with its quartiles. Both
// sides have the same bytes on the wire and the same compare.Deadline. The last two columns, ours
// and raw, are the medians of the times in microseconds. A name that ends in -ns has no
// counterpart, and its figure is nanoseconds. The counterpart of policy-1k-64, which has TLS and a
// policy of 100 rules, is oslorpc with TLS alone. The counterpart of typed-1k-1 and typed-1k-64 is
// the same generated stub and the same service on plain grpc-go. The typed-bytes-1 and
// typed-bytes-64 comparisons send the same messages, but their counterpart is an RPC of opaque
// bytes, as for the dynamic calls.
//
// With -cost, each line that has a counterpart is followed by lines for the other costs of an
// operation: cpu is processor time, which other processes on the machine hardly change. allocs is
// the number of allocations. bytes is the allocated bytes, which replace the microseconds.
//
// The two sides alternate, a round each. The figures are the median and the quartiles over the
// rounds, since a single round on a shared machine tells little. Many short rounds tell more than a
// few long ones.
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

// testCase compares two workloads, which alternate so that both run under the same conditions.
type testCase struct {
	names []string
	// open prepares the workloads. Cleanup releases them.
	open func(ctx context.Context) (a, b compare.Workload, cleanup func() error, err error)
	// lines makes the output lines from the costs of each round.
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

// line is one line of the table. Ours and raw are 0 if there is no counterpart.
type line struct {
	compare.Quartiles
	ours, raw float64
	// more are the lines of other costs, by name.
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

// ratio makes the line that compares ours with the raw counterpart, and the lines of the other
// costs.
func ratio(ours, raw compare.Costs) []line {
	l := between(ours.Time, raw.Time, time.Microsecond)
	l.more = []part{
		{"cpu", between(ours.CPU, raw.CPU, time.Microsecond)},
		{"allocs", between(ours.Allocs, raw.Allocs, 1)},
		{"bytes", between(ours.Bytes, raw.Bytes, 1)},
	}
	return []line{l}
}

// between makes a line from the figures of both sides and prints them in the given unit.
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
