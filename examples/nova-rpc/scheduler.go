package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const schedulerTopic = "scheduler"

// capabilities is a compute worker's report to a scheduler.
type capabilities struct {
	Host             string `json:"host"`
	RunningInstances int    `json:"running_instances"`
}

// schedulerManager is the proxy of a scheduler.
type schedulerManager struct {
	out     *log.Logger
	updates chan capabilities
}

// UpdateServiceCapabilities handles the report of a worker.
func (m *schedulerManager) UpdateServiceCapabilities(ctx context.Context, c capabilities) error {
	m.out.Printf("  %s reports running_instances=%d, in request %v", c.Host, c.RunningInstances, oslorpc.ContextFrom(ctx)["request_id"])
	select {
	case m.updates <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// scheduler sends to the compute workers, and prints the messages and their outcomes.
type scheduler struct {
	*service
	host    string
	updates <-chan capabilities
	out     *log.Logger
}

func startScheduler(ctx context.Context, url string, out *log.Logger) (*scheduler, error) {
	host := fmt.Sprintf("scheduler-%d", os.Getpid()) // several may run at a time
	manager := &schedulerManager{out: out, updates: make(chan capabilities)}
	s, err := startService(ctx, url, schedulerTopic, host, func(*novarpc.RPC) any { return manager })
	return &scheduler{service: s, host: host, updates: manager.updates, out: out}, err
}

// run shows each way to reach the workers.
func (s *scheduler) run(ctx context.Context) error {
	ctx = oslorpc.WithContext(ctx, oslorpc.RequestContext{"user_id": "alice", "project_id": "demo", "request_id": "req-1"})
	workers, err := s.askAll(ctx)
	if err != nil {
		return err
	}
	for range workers {
		if err := s.uptime(ctx, "Any host on the topic", novarpc.Topic(computeTopic)); err != nil {
			return err
		}
	}
	idle := leastLoaded(workers)
	queue, instance := novarpc.QueueGetFor(computeTopic, idle.Host), fmt.Sprintf("instance-%d", idle.RunningInstances+1)
	if err := s.uptime(ctx, "One host on the topic", queue); err != nil {
		return err
	}
	if err := s.runInstance(ctx, queue, instance); err != nil {
		return err
	}
	return s.console(ctx, queue, instance)
}

// askAll makes all workers report, and returns the reports.
func (s *scheduler) askAll(ctx context.Context) ([]capabilities, error) {
	topic := novarpc.Topic(computeTopic)
	msg := novarpc.Msg{Method: "publish_service_capabilities", Args: publishArgs{ReportTo: s.host}}
	s.announce("All hosts on the topic", "fanout_cast", topic, msg)
	report, err := s.rpc.FanoutCast(ctx, topic, msg)
	if err != nil {
		return nil, err
	}
	var workers []capabilities
	for range report.Accepted {
		c, err := s.update(ctx)
		if err != nil {
			return nil, err
		}
		workers = append(workers, c)
	}
	s.out.Printf("  accepted by %d, failed at %d, skipped for their version %d",
		len(report.Accepted), len(report.Failed), len(report.Skipped))
	if len(workers) == 0 {
		return nil, errors.Join(errors.New("no worker took the message: start one with --host compute1"), report.Err())
	}
	return workers, nil
}

// uptime calls a method and prints its result.
func (s *scheduler) uptime(ctx context.Context, who string, queue novarpc.Queue) error {
	msg := novarpc.Msg{Method: "get_host_uptime"}
	s.announce(who, "call", queue, msg)
	result, err := novarpc.Call[string](ctx, s.rpc, queue, msg)
	if err != nil {
		return err
	}
	s.out.Printf("  %s", result)
	return nil
}

// runInstance casts a message, which gets no answer. Here the worker reports with its own message.
func (s *scheduler) runInstance(ctx context.Context, queue novarpc.Queue, instance string) error {
	msg := novarpc.Msg{Method: "run_instance", Args: runArgs{Instance: instance, ReportTo: s.host}}
	s.announce("One host, without waiting for it", "cast", queue, msg)
	if err := s.rpc.Cast(ctx, queue, msg); err != nil {
		return err
	}
	_, err := s.update(ctx)
	return err
}

// console prints the results of one method as they arrive.
func (s *scheduler) console(ctx context.Context, queue novarpc.Queue, instance string) error {
	msg := novarpc.Msg{Method: "get_console_output", Args: consoleArgs{Instance: instance}, Version: "1.1"}
	s.announce("One host, which answers bit by bit", "multicall", queue, msg)
	for line, err := range novarpc.Multicall[string](ctx, s.rpc, queue, msg) {
		if err != nil {
			return err
		}
		s.out.Printf("  | %s", line)
	}
	return nil
}

// announce prints a message before it is sent, in the syntax of Nova's developers.
func (s *scheduler) announce(who, verb string, queue novarpc.Queue, msg novarpc.Msg) {
	text, _ := json.Marshal(struct { //nolint:errchkjson // The arguments are our own structs.
		Method  string `json:"method"`
		Args    any    `json:"args,omitempty"`
		Version string `json:"version,omitempty"`
	}{msg.Method, msg.Args, msg.Version})
	s.out.Printf("\n# %s\nrpc.%s(ctxt, %q, %s)", who, verb, queue, text)
}

// update waits until a worker has reported.
func (s *scheduler) update(ctx context.Context) (capabilities, error) {
	select {
	case c := <-s.updates:
		return c, nil
	case <-ctx.Done():
		return capabilities{}, fmt.Errorf("waiting for a worker to report: %w", ctx.Err())
	}
}

// leastLoaded returns the worker with the fewest instances. Of several, it returns the first by
// name.
func leastLoaded(workers []capabilities) capabilities {
	best := workers[0]
	for _, c := range workers[1:] {
		if c.RunningInstances < best.RunningInstances || c.RunningInstances == best.RunningInstances && c.Host < best.Host {
			best = c
		}
	}
	return best
}
