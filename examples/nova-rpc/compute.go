package main

import (
	"context"
	"fmt"
	"iter"
	"log"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const computeTopic = "compute"

// These are the arguments of the compute methods, for callers and for the manager.
type (
	publishArgs struct {
		// ReportTo is the host of the scheduler to report to.
		ReportTo string `json:"report_to"`
	}
	runArgs struct {
		Instance string `json:"instance"`
		ReportTo string `json:"report_to"`
	}
	consoleArgs struct {
		Instance string `json:"instance"`
	}
)

// computeManager is the proxy of a compute worker: its exported methods are the remote methods.
// They run concurrently, so it is safe for concurrent use.
type computeManager struct {
	host    string
	started time.Time
	rpc     *novarpc.RPC
	out     *log.Logger

	mu        sync.Mutex
	instances map[string]bool
}

func startWorker(ctx context.Context, url, host string, out *log.Logger) (*service, error) {
	worker, err := startService(ctx, url, computeTopic, host, func(rpc *novarpc.RPC) any {
		return &computeManager{host: host, started: time.Now(), rpc: rpc, out: out, instances: map[string]bool{}}
	})
	if err == nil {
		out.Printf("%s consumes %q", host, computeTopic)
	}
	return worker, err
}

// RPCAPIVersion is the version of the interface. 1.1 added get_console_output.
func (m *computeManager) RPCAPIVersion() string { return "1.1" }

// GetHostUptime returns how long the worker has been up.
func (m *computeManager) GetHostUptime(ctx context.Context) (string, error) {
	m.say(ctx)
	return fmt.Sprintf("%s is up since %s", m.host, m.started.Format(time.TimeOnly)), nil
}

// PublishServiceCapabilities makes the worker report its state to a scheduler.
func (m *computeManager) PublishServiceCapabilities(ctx context.Context, args publishArgs) error {
	m.say(ctx)
	return m.report(ctx, args.ReportTo)
}

// RunInstance starts an instance, and tells a scheduler that it runs.
func (m *computeManager) RunInstance(ctx context.Context, args runArgs) error {
	m.say(ctx)
	m.mu.Lock()
	m.instances[args.Instance] = true
	m.mu.Unlock()
	return m.report(ctx, args.ReportTo)
}

// GetConsoleOutput yields the console of an instance, line by line.
func (m *computeManager) GetConsoleOutput(ctx context.Context, args consoleArgs) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.say(ctx)
		m.mu.Lock()
		runs := m.instances[args.Instance]
		m.mu.Unlock()
		if !runs {
			yield("", fmt.Errorf("instance %q does not run on %s", args.Instance, m.host))
			return
		}
		for _, line := range []string{"Booting Linux", "Mounting /", args.Instance + " login:"} {
			if !yield(line, nil) {
				return
			}
		}
	}
}

// report casts to the scheduler on a host. The request context in ctx is sent as well.
func (m *computeManager) report(ctx context.Context, scheduler string) error {
	m.mu.Lock()
	running := len(m.instances)
	m.mu.Unlock()
	return m.rpc.Cast(ctx, novarpc.QueueGetFor(schedulerTopic, scheduler), novarpc.Msg{
		Method: "update_service_capabilities",
		Args:   capabilities{Host: m.host, RunningInstances: running},
	})
}

// say prints which method runs here, and for whom.
func (m *computeManager) say(ctx context.Context) {
	m.out.Printf("    %s runs %s for %v", m.host, oslorpc.MessageFrom(ctx).Method, oslorpc.ContextFrom(ctx)["user_id"])
}
