package oslorpc_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestNothingRunsWhereItDoesNotFit sends random messages to random fleets that change meanwhile.
// Whatever the outcome of a message, no endpoint runs a message that it is not compatible with, no
// message runs twice on an instance, and a message that is reported as not run has not run.
func TestNothingRunsWhereItDoesNotFit(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := &randomWorld{Rand: rand.New(rand.NewPCG(seed, 4)), t: t, ran: map[int]map[string]int{}}
			w.populate()
			for round := range 5 {
				w.disturb()
				var sending sync.WaitGroup
				for n := range 12 {
					m := w.message(round*12 + n)
					sending.Go(func() { m.send() })
				}
				sending.Wait()
			}
		})
	}
}

// randomWorld is a fleet with the messages that are sent to it.
type randomWorld struct {
	*rand.Rand

	t       *testing.T
	fleet   *oslorpctest.Fleet
	servers []*oslorpctest.Server

	mu  sync.Mutex
	ran map[int]map[string]int // message -> server -> how often
}

func (w *randomWorld) version() string { return fmt.Sprintf("%d.%d", 1+w.IntN(2), w.IntN(3)) }

func (w *randomWorld) namespace() string { return []string{"", "x"}[w.IntN(2)] }

func (w *randomWorld) populate() {
	w.fleet = oslorpctest.New(w.t)
	for n := range 1 + w.IntN(4) {
		name := fmt.Sprint("s", n%3)
		var endpoints []oslorpc.Endpoint
		for range 1 + w.IntN(3) {
			endpoints = append(endpoints, w.endpoint(fmt.Sprint(name, "#", n)))
		}
		w.servers = append(w.servers, w.fleet.Serve(oslorpc.Target{Topic: "topic", Server: name}, endpoints))
	}
}

type numbered struct {
	N  int    `json:"n"`
	As string `json:"as"` // the version that these arguments are for
}

func (w *randomWorld) endpoint(instance string) oslorpc.Endpoint {
	namespace, version := w.namespace(), w.version()
	implemented, _ := rpc.ParseVersion(version)
	run := func(ctx context.Context, m numbered) (int, error) {
		asked := oslorpc.MessageFrom(ctx).Target
		askedVersion, _ := rpc.ParseVersion(asked.Version)
		if !implemented.Serves(askedVersion) || asked.Namespace != namespace || asked.Version != m.As {
			w.t.Errorf("message %d, of %q at %s with the arguments of %s, runs at %q %s", m.N, asked.Namespace, asked.Version, m.As, namespace, version)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.ran[m.N] == nil {
			w.ran[m.N] = map[string]int{}
		}
		w.ran[m.N][instance]++
		return m.N, nil
	}
	return oslorpc.Endpoint{Namespace: namespace, Version: version, Methods: map[string]oslorpc.Method{"m": oslorpc.Func(run)}}
}

// disturb makes a server stop, come back, or hang for a while.
func (w *randomWorld) disturb() {
	s := w.servers[w.IntN(len(w.servers))]
	switch w.IntN(4) {
	case 0:
		s.Kill()
	case 1:
		s.Stop()
	case 2:
		s.Start()
	}
}

type randomMessage struct {
	*randomWorld

	n        int
	client   *oslorpc.Client
	args     any
	delivery int
}

func (w *randomWorld) message(n int) *randomMessage {
	version := w.version()
	options := []oslorpc.ClientOption{
		oslorpc.WithNamespace(w.namespace()), oslorpc.WithVersion(version), oslorpc.WithRetry(w.IntN(2)),
		oslorpc.WithVersionCap([]string{"", "auto", w.version()}[w.IntN(3)]),
	}
	if w.IntN(3) == 0 {
		options = append(options, oslorpc.WithServer(fmt.Sprint("s", w.IntN(4))))
	}
	m := &randomMessage{w, n, w.fleet.Client(oslorpc.Target{Topic: "topic"}, options...), numbered{n, version}, w.IntN(4)}
	if w.IntN(2) == 0 {
		var forms oslorpc.Variants
		for range 1 + w.IntN(3) {
			v := w.version()
			forms = append(forms, oslorpc.Variant{Version: v, Args: numbered{n, v}})
		}
		m.args = forms
	}
	return m
}

func (m *randomMessage) send() {
	ctx, reached := m.t.Context(), 1
	var err error
	switch m.delivery {
	case 0:
		_, err = oslorpc.Call[int](ctx, m.client, "m", m.args)
	case 1:
		err = m.client.Cast(ctx, "m", m.args)
	case 2:
		for _, e := range oslorpc.Multicall[int](ctx, m.client, "m", m.args) {
			err = e
		}
	case 3:
		var report *oslorpc.Report
		if report, err = m.client.Fanout(ctx, "m", m.args); err == nil {
			reached = len(report.Accepted) + len(report.Failed)
		}
	}
	m.judge(err, reached)
}

// judge compares the reported outcome of the message with the servers where it ran.
func (m *randomMessage) judge(err error, reached int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	times := 0
	for instance, n := range m.ran[m.n] {
		if n > 1 {
			m.t.Errorf("message %d ran %d times at %s", m.n, n, instance)
		}
		times += n
	}
	switch {
	case times > reached:
		m.t.Errorf("message %d ran %d times where it was for %d", m.n, times, reached)
	case err != nil && oslorpc.SafeToRetry(err) && times > 0:
		m.t.Errorf("message %d ran, and its sender was told that it had not: %v", m.n, err)
	case err == nil && times != 1 && (m.delivery == 0 || m.delivery == 2):
		m.t.Errorf("message %d ran %d times, and its sender was told that it had run", m.n, times)
	}
}
