// Neutron-server is the server of a small Neutron: it keeps networks, ports and routers in memory,
// assigns them to agents, and notifies the agents of every change. See the README in the parent
// directory.
//
//	go run ./examples/neutron/neutron-server
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.transport, "transport", "", "how programs find each other, as a `URL` (default $OSLORPC_TRANSPORT_URL, or local://)")
	flag.StringVar(&o.host, "host", hostname(), "the `name` of this host")
	flag.IntVar(&o.workers, "rpc-workers", 2, "how many servers take messages, each under the same name")
	flag.IntVar(&o.agentsPerNetwork, "dhcp-agents-per-network", 3, "how many DHCP agents serve each network")
	flag.DurationVar(&o.agentDownTime, "agent-down-time", 75*time.Second, "an agent that has not reported for so long is dead")
	flag.DurationVar(&o.notifyTimeout, "notify-timeout", 5*time.Second, "how long an agent may take to accept a message")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "neutron-server:", err)
		os.Exit(1)
	}
}

// options are the options on the command line.
type options struct {
	transport        string
	host             string
	workers          int
	agentsPerNetwork int
	agentDownTime    time.Duration
	notifyTimeout    time.Duration
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// run serves until ctx ends.
func run(ctx context.Context, o options) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the program accepts only flags; see --help", flag.Arg(0))
	}
	if o.workers < 1 || o.agentsPerNetwork < 1 || o.agentDownTime <= 0 || o.notifyTimeout <= 0 {
		return errors.New("numbers and times must be positive. See --help")
	}
	p := newPlugin(o)
	workers, err := startWorkers(ctx, p, o)
	if err == nil {
		fmt.Printf("neutron-server on %s: ready, with %d RPC workers\n", o.host, o.workers)
		<-ctx.Done()
	}
	return errors.Join(err, closeAll(workers))
}
