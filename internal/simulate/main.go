// Command simulate runs a large fleet in one process, over a network in memory: thousands of
// agents, which are servers, and a few hubs, which send to all of them. Each has its own transport,
// as if it were a separate process. The agents also report to the hubs.
//
// The simulation has four phases, and prints the cost of each. All agents start. Each hub sends to
// each agent, and each agent to a hub. A hub restarts and reaches all agents again. A fraction of
// the agents restarts each second, while the hubs continue to call agents by name and any agent.
//
// It fails if a message to an agent fails that was running all the time.
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

// gcPercent is the value for GOGC. Both ends of each connection are in this process. Collecting as
// often as usual would take most of the processor time.
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
