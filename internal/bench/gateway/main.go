//go:build linux

// Command gateway of the benchmarks compares calls through a gateway with direct calls, and with
// calls through nginx. The server, the gateway, nginx and the client are separate processes on this
// machine. The command prints a line for each side
//
//	callers side time q1 q3 us relay client
//
// where time is the ratio of the time per call to the time of raw gRPC, with its quartiles. us is
// the time in microseconds. relay is the processor time that the gateway or nginx used for a call,
// and client is the processor time of the client, both in microseconds. All figures are medians.
// The sides alternate, a round each.
//
// For each number of callers, two further lines summarize the cost of the gateway. "added" is the
// time that the gateway adds to a direct call, as a multiple of a raw call. "throughput" is the
// throughput through the gateway as a part of the throughput of direct calls.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(context.Background(), role, os.Args[1:]))
	}
	exit(run(context.Background(), os.Stdout, os.Args[1:]))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, out io.Writer, args []string) (err error) {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(out)
	rounds := flags.Int("rounds", 31, "how often each side runs")
	length := flags.Duration("round-time", 150*time.Millisecond, "how long a side runs in a round")
	callers := flags.String("callers", "1,64", "numbers of callers, with commas")
	only := flags.String("sides", "", "run only these sides, with commas")
	nginx := flags.String("nginx", "", "the `file` of nginx; without it, the side nginx is left out")
	profile := flags.String("profile", "", "write a profile of the gateway's processor to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := newFleet(ctx, *nginx, *profile)
	defer func() {
		if e := f.close(); err == nil {
			err = e
		}
	}()
	if err != nil {
		return err
	}
	sides, err := f.sides(ctx, *only)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, rowFormat, "callers", "side", "time", "q1", "q3", "us", "relay", "client")
	for text := range strings.SplitSeq(*callers, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-callers: %w", err)
		}
		if err := compareSides(out, sides, n, *rounds, *length); err != nil {
			return err
		}
	}
	return nil
}

const rowFormat = "%-8s %-14s %7s %7s %7s %9s %7s %7s\n"

func compareSides(out io.Writer, sides []side, callers, rounds int, length time.Duration) error {
	work := make([]compare.Workload, len(sides))
	for i, s := range sides {
		work[i] = compare.Workload{Callers: callers, Ops: 1, Do: s.do, Elsewhere: s.relay}
	}
	costs, err := compare.Alternate(rounds, length, work...)
	if err != nil {
		return err
	}
	figure := func(f float64) string { return fmt.Sprintf("%.2f", f) }
	median := func(list []float64) string { return fmt.Sprintf("%.1f", compare.Summarize(list).Median/1e3) }
	row := func(name string, q compare.Quartiles, us, relay, client string) {
		fmt.Fprintf(out, rowFormat, strconv.Itoa(callers), name, figure(q.Median), figure(q.Q1), figure(q.Q3), us, relay, client)
	}
	of := map[string]compare.Costs{}
	for i, s := range sides {
		of[s.name] = costs[i]
		row(s.name, compare.Summarize(compare.Quotients(costs[i].Time, costs[0].Time)),
			median(costs[i].Time), median(costs[i].Elsewhere), median(costs[i].CPU))
	}
	through, direct := of[sideGateway].Time, of[sideDirect].Time
	if through == nil || direct == nil {
		return nil
	}
	added := make([]float64, len(through))
	for i := range added {
		added[i] = (through[i] - direct[i]) / costs[0].Time[i]
	}
	row("added", compare.Summarize(added), "-", "-", "-")
	row("throughput", compare.Summarize(compare.Quotients(direct, through)), "-", "-", "-")
	return nil
}
