package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// openOn opens a transport on a registry. The test closes the transport.
func openOn(t *testing.T, url string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	options = append([]oslorpc.TransportOption{
		oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)),
	}, options...)
	transport, err := oslorpc.Open(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

func newServer(transport *oslorpc.Transport, name string) *oslorpc.Server {
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: name})
	s.Add(newAgent(name).endpoint("1.0"))
	return s
}

// within fails the test unless do returns in time. The limit is generous: it only distinguishes a
// bound of seconds from no bound.
func within(t *testing.T, most time.Duration, what string, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v, want at most %v", what, took, most)
	}
}

// While Consul hangs and a server starts, every operation ends when its context ends.
func TestDiscoveryHangs(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	var log logged
	transport := openOn(t, agent.URL(), oslorpc.WithLogger(log.logger()))
	one, two, three := newServer(transport, "one"), newServer(transport, "two"), newServer(transport, "three")
	if err := one.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	agent.Pause()
	started := make(chan error, 1)
	go func() { started <- two.Start(context.Background()) }()
	until(t, "the second server starts", func() bool {
		_, here := two.Instance()
		return here
	})
	const none = oslorpc.Kind(0)
	const patience, most = 300 * time.Millisecond, 2 * time.Second
	bounded := func(what string, kind oslorpc.Kind, do func(context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		within(t, most, what, func() {
			if err := do(ctx); oslorpc.KindOf(err) != kind {
				t.Errorf("%s: %v, want kind %q", what, err, kind)
			}
		})
	}
	bounded("a start", oslorpc.Timeout, three.Start)
	bounded("a start beside another of the server", oslorpc.Timeout, two.Start)
	bounded("a drain", oslorpc.Timeout, one.Drain)
	bounded("a stop", none, one.Stop)
	bounded("a shutdown", none, transport.Shutdown)
	err := <-started
	if !oslorpc.SafeToRetry(err) {
		t.Errorf("the start in progress: %v", err)
	}
	wantText(t, err, "two", "the transport is closed")
	wantLogged(t, &log, "registration was not withdrawn")
}

// A start ends when the context of a concurrent stop ends.
func TestStopOfAServerThatStarts(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	transport := openOn(t, agent.URL())
	s := newServer(transport, "one")
	agent.Pause()
	started := make(chan error, 1)
	go func() { started <- s.Start(context.Background()) }()
	until(t, "it starts", func() bool {
		_, here := s.Instance()
		return here
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	wantText(t, <-started, "was stopped while it started")
	if _, here := s.Instance(); here {
		t.Error("it runs")
	}
	agent.Resume()
	if err := errors.Join(s.Start(t.Context()), transport.Close()); err != nil {
		t.Errorf("another start, and the end: %v", err)
	}
}

// A stop that finished all work succeeds, even if discovery is away. A registration that it could
// not withdraw is logged.
func TestCleanStopWithoutDiscovery(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	var log logged
	transport := openOn(t, agent.URL(), oslorpc.WithLogger(log.logger()))
	one, two := newServer(transport, "one"), newServer(transport, "two")
	if err := errors.Join(one.Start(t.Context()), two.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	agent.Kill()
	if err := one.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	wantLogged(t, &log, "registration was not withdrawn in time")
	if err := transport.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	wantLogged(t, &log, "registration was not withdrawn; it expires by itself")
}

// A server that stopped while discovery was away is withdrawn later, and does not stay listed until
// its process ends.
func TestStoppedServerIsWithdrawnLater(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	transport := openOn(t, agent.URL())
	one, two := newServer(transport, "one"), newServer(transport, "two")
	if err := errors.Join(one.Start(t.Context()), two.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	agent.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := one.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	agent.Resume()
	until(t, "only the other is listed", func() bool {
		return slices.Equal(states(t, transport), []string{"two active"})
	})
	if err := transport.Close(); err != nil {
		t.Error(err)
	}
}

// While the last server of a transport waits for its clients, another server starts, also at the
// same address.
func TestStartWhileTheHostCloses(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	transport := open(t, oslorpc.WithListen(addr))
	one, two := newServer(transport, "one"), newServer(transport, "two")
	if err := one.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	lingering, err := net.Dial("tcp", addr) // gRPC waits for it to say something
	if err != nil {
		t.Fatal(err)
	}
	defer lingering.Close()
	if _, err := lingering.Read(make([]byte, 1)); err != nil { // the connection was accepted
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- one.Stop(ctx) }()
	until(t, "it is down", func() bool {
		_, here := one.Instance()
		return !here
	})
	if err := two.Start(t.Context()); err != nil {
		t.Error(err)
	}
	if len(stopped) != 0 {
		t.Error("the first server has stopped already: this tests nothing")
	}
	if name, err := oslorpc.Call[string](t.Context(), client(t), "whoami", nil); name != "two" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// Each server of a process costs discovery a constant number of requests, however many servers run
// already.
func TestManyServersOnConsul(t *testing.T) {
	const many = 300
	start := map[string]func(*testing.T, []*oslorpc.Server){
		"one by one": func(t *testing.T, servers []*oslorpc.Server) {
			for _, s := range servers {
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		},
		"together": func(t *testing.T, servers []*oslorpc.Server) {
			var all sync.WaitGroup
			for _, s := range servers {
				all.Go(func() {
					if err := s.Start(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		},
	}
	for name, start := range start {
		t.Run(name, func(t *testing.T) {
			counter := consultest.Count(t, consultest.Start(t))
			transport := openOn(t, counter.URL())
			servers := make([]*oslorpc.Server, many)
			for n := range servers {
				servers[n] = transport.Server(oslorpc.Target{Topic: fmt.Sprint("topic", n), Server: "node1"})
			}
			began := time.Now()
			start(t, servers)
			t.Logf("started in %v", time.Since(began))
			if n := counter.Requests(); n > many+10 {
				t.Errorf("%d servers started with %d requests", many, n)
			}
			if list, err := transport.Instances(t.Context()); err != nil || len(list) != many {
				t.Errorf("%d of %d are listed, %v", len(list), many, err)
			}
			counter.Requests()
			began = time.Now()
			if err := transport.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			t.Logf("shut down in %v", time.Since(began))
			if n := counter.Requests(); n > many+10 {
				t.Errorf("%d servers stopped with %d requests", many, n)
			}
		})
	}
}
