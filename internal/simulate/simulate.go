package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// config is the size of a simulation.
type config struct {
	agents, hubs int
	churn        float64
	time         time.Duration
}

// These are the topics, and the interface that both serve.
const (
	agentTopic, hubTopic = "agent", "hub"
	version, method      = "1.0", "note"
)

// patience bounds each phase and each message.
const patience = 2 * time.Minute

// bufferSize is the buffer of a connection in each direction. It is small, since there are many
// connections.
const bufferSize = 4 << 10

// atOnce is how many agents start, report or stop concurrently.
const atOnce = 64

// simulation is a fleet.
type simulation struct {
	config
	url     string
	network memnet.Network
	out     io.Writer

	agents []*node
	hubs   []*node
	noted  atomic.Int64 // how many messages the methods have handled
	again  atomic.Int64 // how many copies of fanouts did not arrive at the first attempt
}

// node is an agent or a hub. Its lock is held while it restarts.
type node struct {
	name string

	mu        sync.Mutex
	transport *oslorpc.Transport
	client    *oslorpc.Client // of the other topic
}

// simulations counts the simulations, so that each has its own registry.
var simulations atomic.Int64

func simulate(ctx context.Context, out io.Writer, c config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &simulation{config: c, out: out, url: fmt.Sprintf("memory://simulation-%d", simulations.Add(1)), network: memnet.Network{Buffer: bufferSize}}
	defer s.close() //nolint:contextcheck // It does not wait.
	fmt.Fprintf(out, "%d agents, %d hubs\n", c.agents, c.hubs)
	if err := s.phase(ctx, "start", s.start); err != nil {
		return err
	}
	before := measure()
	if err := s.phase(ctx, "connect", s.connect); err != nil {
		return err
	}
	s.price(before, measure())
	return errors.Join(s.phase(ctx, "restart a hub", s.restartHub), s.phase(ctx, "churn", s.churned))
}

func (s *simulation) close() {
	for _, n := range append(s.agents, s.hubs...) {
		if n.transport != nil {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			_ = n.transport.Shutdown(over) // its error is that it was forced
		}
	}
}

// begin starts a node as a new process.
func (s *simulation) begin(ctx context.Context, n *node, serves, sends string) error {
	t, err := s.open()
	if err != nil {
		return err
	}
	n.transport = t
	n.client = t.Client(oslorpc.Target{Topic: sends, Version: version}, oslorpc.WithTimeout(patience))
	server := t.Server(oslorpc.Target{Topic: serves, Server: n.name})
	server.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{method: oslorpc.Func(
		func(context.Context, oslorpc.Raw) (oslorpc.Raw, error) {
			s.noted.Add(1)
			return "null", nil
		})}})
	return server.Start(ctx)
}

func (s *simulation) start(ctx context.Context) error {
	for i := range s.config.agents {
		s.agents = append(s.agents, &node{name: fmt.Sprintf("agent-%05d", i)})
	}
	for i := range s.config.hubs {
		n := &node{name: fmt.Sprintf("hub-%d", i)}
		s.hubs = append(s.hubs, n)
		if err := s.begin(ctx, n, hubTopic, agentTopic); err != nil {
			return err
		}
	}
	return each(s.agents, func(n *node) error { return s.begin(ctx, n, agentTopic, hubTopic) })
}

// each calls do for all nodes, with up to atOnce goroutines.
func each(nodes []*node, do func(*node) error) error {
	slots := make(chan struct{}, atOnce)
	errs := make([]error, len(nodes))
	var running sync.WaitGroup
	for i, n := range nodes {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(n)
		})
	}
	running.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d nodes failed, the first with: %w", len(failed), len(nodes), failed[0])
}

// connect makes each hub reach each agent, and each agent a hub.
func (s *simulation) connect(ctx context.Context) error {
	for _, hub := range s.hubs {
		if err := s.reach(ctx, hub); err != nil {
			return err
		}
	}
	return each(s.agents, func(n *node) error { return n.client.Cast(ctx, method, nil) })
}

// reach makes a hub send to all agents, and repeats that until one message has reached all. On a
// busy machine, some agents are not connected in time for the first.
func (s *simulation) reach(ctx context.Context, hub *node) error {
	for {
		report, err := hub.client.Fanout(ctx, method, nil)
		switch {
		case err != nil:
			return err
		case len(report.Accepted) == len(s.agents):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%d of %d agents accepted, %d failed: %w", len(report.Accepted), len(s.agents), len(report.Failed), ctx.Err())
		}
		s.again.Add(int64(len(s.agents) - len(report.Accepted)))
	}
}

// restartHub restarts a hub, which then reaches all agents. Meanwhile the agents find the hub
// again.
func (s *simulation) restartHub(ctx context.Context) error {
	hub := s.hubs[0]
	if err := hub.transport.Shutdown(ctx); err != nil {
		return err
	}
	reports := make(chan error, 1)
	go func() { reports <- each(s.agents, func(n *node) error { return n.client.Cast(ctx, method, nil) }) }()
	err := s.begin(ctx, hub, hubTopic, agentTopic)
	if err == nil {
		err = s.reach(ctx, hub)
	}
	return errors.Join(err, <-reports)
}
