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

// service is something that is told of changes on a topic, and begins with all there is. It is the
// life of an agent:
//
//   - It listens before it reads, but is held: changes that come while it reads everything for the
//     first time wait in its queue.
//   - It reports, and reads everything anew when the server says that it took the agent for dead,
//     or does not know it,
//   - and when messages for it may have been lost.
type service struct {
	*node

	name     string
	topic    string
	endpoint oslorpc.Endpoint
	// sync reads everything anew, and returns what it read, for people.
	sync func(ctx context.Context) (string, error)
	// reports says how it reports; nil if it does not.
	reports *reports
	// work runs beside the server; nil if all is done by methods.
	work func(ctx context.Context)

	resync chan string
}

// Times of the life of an agent.
const (
	// retryPause is between attempts to reach a server. Calls that time out have a pause of their
	// own, by the back-off.
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

// ended returns an error, unless it came of the end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// readAgain reads everything anew when it has to.
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

// reportOften reports, also while everything is read, which may take long.
func (s *service) reportOften(ctx context.Context) {
	s.often(ctx, func() {
		if reason := s.report(ctx); reason != "" {
			s.request(reason)
		}
	})
}

// often does something once in each interval, until ctx ends.
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

// request has everything read anew soon. Of several reasons one is enough.
func (s *service) request(reason string) {
	select {
	case s.resync <- reason:
	default:
	}
}

// readAll reads everything, again and again until that succeeds.
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

// pause lets some time pass before another attempt.
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
	// alwaysCall: each report is a call, which tells whether the agent was taken for dead. Else
	// only those are that follow the start or a failure, and the others are casts, which cost the
	// server less.
	alwaysCall bool
	called     bool
	// lost: the server may have said something that did not arrive.
	lost bool
}

func (n *node) newReports(agentType, binary, topic string, alwaysCall bool) *reports {
	return &reports{
		api:        neutronrpc.NewPluginReportStateAPI(n.transport, n.interval, oslorpc.WithBackoff(n.backoff)),
		state:      neutronrpc.AgentState{AgentType: agentType, Binary: binary, Host: n.host, Topic: topic, StartFlag: true},
		alwaysCall: alwaysCall,
	}
}

// report reports once, and returns why everything has to be read anew; nothing if it has not. It is
// not tried again: the next report is as good.
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
