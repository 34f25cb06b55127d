// Command simulate runs a large fleet in one process, over a network in memory: thousands of
// agents, which are servers, and a few hubs, which send to all of them. Each has a transport of its
// own, as in a process of its own. The agents also report to the hubs.
//
// It goes through four phases, and says of each what it took: all agents start; each hub sends to
// each agent, and each agent to a hub; a hub restarts and reaches all agents again; a part of the
// agents restarts each second, while the hubs go on calling them by name and any of them.
//
// It fails if a message failed that must not: one to an agent that was there all the time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// gcPercent is how much garbage there may be, in percent of what is in use. Both ends of each
// connection are in this process; collecting for all of them at once, as often as usual, would take
// most of its time.
const gcPercent = 400

func main() {
	debug.SetGCPercent(gcPercent)
	if err := run(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(out)
	var c config
	flags.IntVar(&c.agents, "agents", 10_000, "how many servers there are")
	flags.IntVar(&c.hubs, "hubs", 3, "how many hubs send to them")
	flags.Float64Var(&c.churn, "churn", 0.01, "the part of the agents that restarts each second")
	flags.DurationVar(&c.time, "time", 20*time.Second, "how long agents restart")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.agents < 1 || c.hubs < 1 || c.churn < 0 || c.churn > 1 {
		return fmt.Errorf("-agents and -hubs must be at least 1, and -churn a part between 0 and 1")
	}
	return simulate(ctx, out, c)
}
