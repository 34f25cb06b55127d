package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// service is one agent's life cycle. An agent first reads the whole state from the server, and then
// receives messages about changes on a topic:
//
//   - It starts its server before it reads, but held: changes that come during the first reading
//     wait in its queue.
//   - It reports regularly. It reads everything again when the server answers that it had
//     considered the agent dead, or does not know it,
//   - and when messages for it may have been lost.
type service struct {
	*node

	name     string
	topic    string
	endpoint oslorpc.Endpoint
	// sync reads everything again, and returns a description of the result for people.
	sync func(ctx context.Context) (string, error)
	// reports says how the agent reports; nil if it does not.
	reports *reports
	// work runs concurrently with the server. It is nil if the methods do all the work.
	work func(ctx context.Context)

	resync chan string
}

// These are the pauses and timeouts in an agent's life cycle.
const (
	// retryPause is the pause between attempts to reach a server. Calls that time out also have the
	// back-off's pause.
	retryPause = time.Second
	stopTime   = 10 * time.Second
)

// run runs the service until ctx ends.
func (s *service) run(ctx context.Context) error {
	s.resync = make(chan string, 1)
	server := s.transport.Server(oslorpc.Target{Topic: s.topic, Server: s.host}, oslorpc.WithHold(),
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) { s.request(reason) }))
	server.Add(s.endpoint)
	if err := server.Start(ctx); err != nil {
		return ended(ctx, err)
	}
	s.report(ctx) // the server must know an agent to give it something to do
	var working sync.WaitGroup
	working.Go(func() { s.reportOften(ctx) })
	if s.work != nil {
		working.Go(func() { s.work(ctx) })
	}
	s.readAll(ctx, "it starts")
	if ctx.Err() == nil {
		if err := server.Release(ctx); err != nil {
			slog.WarnContext(ctx, "others take the agent for held", "topic", s.topic, "error", err)
		}
		s.readAgain(ctx)
	}
	working.Wait()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return server.Stop(stopping)
}

// ended returns an error, unless the end of ctx caused it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// readAgain calls readAll after each call of request, until ctx ends.
func (s *service) readAgain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case reason := <-s.resync:
			s.readAll(ctx, reason)
		}
	}
}

// reportOften reports regularly, also during a reading, which may take long.
func (s *service) reportOften(ctx context.Context) {
	s.often(ctx, func() {
		if reason := s.report(ctx); reason != "" {
			s.request(reason)
		}
	})
}

// often calls a function once per interval, until ctx ends.
func (n *node) often(ctx context.Context, do func()) {
	tick := time.NewTicker(n.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// request makes the agent read everything again soon. Of several reasons, one is enough.
func (s *service) request(reason string) {
	select {
	case s.resync <- reason:
	default:
	}
}

// readAll reads everything, and tries again until that succeeds.
func (s *service) readAll(ctx context.Context, reason string) {
	for {
		what, err := s.sync(ctx)
		if err == nil {
			s.sayf("%s reads everything, because %s: %s", s.name, reason, what)
			return
		}
		if ctx.Err() != nil {
			return
		}
		slog.ErrorContext(ctx, "reading everything failed", "agent", s.name, "error", err)
		pause(ctx)
	}
}

// pause waits before another attempt.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryPause):
	}
}

// reports is how an agent reports.
type reports struct {
	api   *neutronrpc.PluginReportStateAPI
	state neutronrpc.AgentState
	// alwaysCall is true if each report is a call, whose answer says whether the agent was
	// considered dead. Otherwise only the reports after the start or a failure are calls. The
	// others are casts, which cost the server less.
	alwaysCall bool
	called     bool
	// lost is true if an answer of the server may have been lost.
	lost bool
}

func (n *node) newReports(agentType, binary, topic string, alwaysCall bool) *reports {
	return &reports{
		api:        neutronrpc.NewPluginReportStateAPI(n.transport, n.interval, oslorpc.WithBackoff(n.backoff)),
		state:      neutronrpc.AgentState{AgentType: agentType, Binary: binary, Host: n.host, Topic: topic, StartFlag: true},
		alwaysCall: alwaysCall,
	}
}

// report reports once. It returns the reason why everything must be read again, or an empty string.
// It does not retry a failed report, because the next one has the same content.
func (s *service) report(ctx context.Context) (reason string) {
	r := s.reports
	if r == nil {
		return ""
	}
	var status string
	var err error
	if r.called && !r.alwaysCall {
		err = r.api.CastState(ctx, r.state)
	} else {
		status, err = r.api.ReportState(ctx, r.state)
	}
	r.called = err == nil // else the next one tells what the server made of the silence
	if err != nil {
		r.lost = r.lost || !oslorpc.SafeToRetry(err)
		if !errors.Is(err, oslorpc.Canceled) {
			slog.WarnContext(ctx, "the report failed", "agent", s.name, "error", err)
		}
		return ""
	}
	lost := r.lost
	r.lost, r.state.StartFlag = false, false
	switch {
	case status == neutronrpc.AgentRevived:
		return "the server took it for dead"
	case status == neutronrpc.AgentNew:
		return "the server did not know it"
	case lost:
		return "the server may have taken it for dead, and its answer was lost"
	}
	return ""
}
