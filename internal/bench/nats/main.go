// Command nats compares ways to carry messages: raw gRPC, oslorpc with an RPC for each message,
// oslorpc with sessions, and NATS micro, whose server is also in this process. The command is in a
// separate module, so that oslorpc does not depend on NATS.
//
// For each case and side, the command prints a line
//
//	case side time q1 q3 us cpu allocs
//
// where time is the ratio of the time per operation to the time of raw gRPC, with its quartiles. us
// is the time in microseconds. cpu is the ratio of the processor time, which other programs on the
// machine hardly change. allocs is the number of allocations at both ends together. Time, us, cpu
// and allocs are medians. The sides alternate, a round each.
//
// The counterpart of a cast and of a fanout is a raw call, since raw gRPC has neither. A fanout of
// NATS is a publication to which each server answers. Two further sides show the minimum cost of a
// fanout: they exchange as many bytes and short answers with each server on a gRPC stream or over
// plain TCP.
//
// Further lines report the 99th percentile of the time of small calls, alone and beside four
// callers of 16 MiB calls, which NATS does not support. One more side, copying, shows how busy
// processors alone slow small calls down: its large callers only copy 16 MiB of memory. The last
// lines report the memory of an idle peer, at both ends together.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
)

func main() {
	if err := run(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	flags.SetOutput(out)
	rounds := flags.Int("rounds", 15, "how often each side runs")
	length := flags.Duration("round-time", 150*time.Millisecond, "how long a side runs in a round")
	only := flags.String("run", "", "run only the cases whose name matches this regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, rowFormat, "case", "side", "time", "q1", "q3", "us", "cpu", "allocs")
	for _, c := range cases {
		if !pattern.MatchString(c.name) {
			continue
		}
		if err := c.run(ctx, out, *rounds, *length); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for _, m := range []struct {
		name    string
		measure func(context.Context, io.Writer, time.Duration) error
	}{{"p99", tails}, {"idle", idle}} {
		if !pattern.MatchString(m.name) {
			continue
		}
		if err := m.measure(ctx, out, *length); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

const rowFormat = "%-12s %-8s %7s %7s %7s %9s %7s %7s\n"

// testCase compares sides. Sides that do not have the operation are left out.
type testCase struct {
	name    string
	servers int
	callers int
	// of returns the operation of a side, or nil if the side does not have it.
	of func(s *side) func(context.Context) error
}

var cases = []testCase{
	{"call-1k-1", 1, 1, func(s *side) func(context.Context) error { return s.call }},
	{"call-1k-64", 1, 64, func(s *side) func(context.Context) error { return s.call }},
	{"typed-1k-1", 1, 1, func(s *side) func(context.Context) error { return s.typed }},
	{"typed-1k-64", 1, 64, func(s *side) func(context.Context) error { return s.typed }},
	{"cast-1k-64", 1, 64, func(s *side) func(context.Context) error { return s.cast }},
	{"fanout-64", 64, 1, func(s *side) func(context.Context) error { return s.fanout }},
	{"fanout-1000", 1000, 1, func(s *side) func(context.Context) error { return s.fanout }},
}

func (c testCase) run(ctx context.Context, out io.Writer, rounds int, length time.Duration) (err error) {
	sides, err := openSides(ctx, c.servers)
	defer func() {
		for _, s := range sides {
			if e := s.close(); err == nil {
				err = e
			}
		}
	}()
	if err != nil {
		return err
	}
	var names []string
	var work []compare.Workload
	for _, s := range sides {
		do := c.of(s)
		if do == nil {
			continue
		}
		names = append(names, s.name)
		work = append(work, compare.Workload{Callers: c.callers, Ops: 1, Do: func() error { return do(ctx) }})
	}
	costs, err := compare.Alternate(rounds, length, work...)
	if err != nil {
		return err
	}
	raw := costs[0]
	for i, got := range costs {
		time, cpu := compare.Summarize(compare.Quotients(got.Time, raw.Time)), compare.Summarize(compare.Quotients(got.CPU, raw.CPU))
		fmt.Fprintf(out, rowFormat, c.name, names[i], figure(time.Median), figure(time.Q1), figure(time.Q3),
			fmt.Sprintf("%.1f", compare.Summarize(got.Time).Median/1e3), figure(cpu.Median), fmt.Sprintf("%.0f", compare.Summarize(got.Allocs).Median))
	}
	return nil
}

func figure(f float64) string { return fmt.Sprintf("%.2f", f) }
