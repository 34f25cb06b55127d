// Neutron-agent runs the agents of one host of a small Neutron: a DHCP agent and, with flags, an L3
// agent, a metering agent and an L2 agent. They configure nothing: they print what they would do.
// See the README in the parent directory.
//
//	go run ./examples/neutron/neutron-agent --host net1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// quittingTimeout bounds the calls of an agent that ends, even if the back-off has raised its
// timeouts.
const quittingTimeout = 10 * time.Second

func main() {
	var o options
	flag.StringVar(&o.transport, "transport", "", "how programs find each other, as a `URL` (default $OSLORPC_TRANSPORT_URL, or local://)")
	flag.StringVar(&o.host, "host", "", "the `name` of this host")
	flag.StringVar(&o.agents, "agents", "dhcp", "which agents to run, of dhcp, l3, metering and l2")
	flag.DurationVar(&o.interval, "report-interval", neutronrpc.DefaultReportInterval, "how often each agent reports")
	flag.StringVar(&o.networkVersion, "network-version", neutronrpc.NetworkType.Version, "which version of networks the L2 agent knows")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)                  // a second signal ends the program at once
	err := run(ctx, o, log.New(os.Stdout, "", 0)) // a Logger writes whole lines from any goroutine
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "neutron-agent:", err)
		os.Exit(1)
	}
}

// options are the options on the command line.
type options struct {
	transport      string
	host           string
	agents         string
	interval       time.Duration
	networkVersion string
}

// run runs the agents until ctx ends.
func run(ctx context.Context, o options, out *log.Logger) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: the program accepts only flags; see --help", flag.Arg(0))
	case o.host == "":
		return errors.New("--host is required: give the name of this host")
	case o.interval <= 0:
		return errors.New("--report-interval must be positive")
	}
	t, err := neutronrpc.Open(o.transport)
	if err != nil {
		return err
	}
	h := &node{options: o, transport: t, out: out, backoff: &oslorpc.Backoff{}}
	services, err := h.services()
	if err == nil {
		h.awaitServer(ctx)
		err = runAll(ctx, h, services)
	}
	return errors.Join(err, t.Close())
}

// runAll runs services until ctx ends, or one fails to start.
func runAll(ctx context.Context, h *node, services []*service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { h.backoff.SetMax(quittingTimeout) })
	failures := make([]error, len(services))
	var running sync.WaitGroup
	for i, s := range services {
		running.Go(func() {
			failures[i] = s.run(ctx)
			cancel()
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// node is the common part of the agents on a host.
type node struct {
	options

	transport *oslorpc.Transport
	out       *log.Logger
	// backoff raises the timeouts of all clients for methods that take the server long. It lasts as
	// long as the program.
	backoff *oslorpc.Backoff
}

// services returns the services of the selected agents.
func (n *node) services() ([]*service, error) {
	var services []*service
	chosen := strings.Split(n.agents, ",")
	for i, name := range chosen {
		if slices.Contains(chosen[:i], name) {
			return nil, fmt.Errorf("--agents lists %q twice: a host has at most one agent of each type", name)
		}
		switch name {
		case "dhcp":
			services = append(services, newDhcpService(n))
		case "l3":
			services = append(services, newL3Service(n))
		case "metering":
			services = append(services, newMeteringService(n))
		case "l2":
			known, err := neutronrpc.NetworkType.At(n.networkVersion)
			if err != nil {
				return nil, err
			}
			services = append(services, newDVRService(n), newNetworksService(n, known))
		default:
			return nil, fmt.Errorf("there is no agent %q: choose among dhcp, l3, metering and l2", name)
		}
	}
	return services, nil
}

// awaitServer returns when a server answers, or ctx ends. Agents that start without a server would
// wait as well, but the operator would not see it.
func (n *node) awaitServer(ctx context.Context) {
	atOnce := neutronrpc.NewPluginReportStateAPI(n.transport, n.interval, oslorpc.WithFailFast(true))
	err := atOnce.HasAliveNeutronServer(ctx)
	if away(err) {
		n.sayf("waits for a neutron-server: %v", err)
	}
	patient := neutronrpc.NewPluginReportStateAPI(n.transport, n.interval, oslorpc.WithBackoff(n.backoff))
	for away(err) && ctx.Err() == nil {
		if err = patient.HasAliveNeutronServer(ctx); err != nil {
			pause(ctx)
		}
	}
}

// away reports whether an error means that no server answers.
func away(err error) bool { return oslorpc.IsNotDelivered(err) || errors.Is(err, oslorpc.Timeout) }

// sayf prints what an agent does.
func (n *node) sayf(format string, args ...any) {
	n.out.Print(n.host + ": " + fmt.Sprintf(format, args...))
}
