//go:build linux

package role

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Server is a process with servers.
type Server struct {
	// Names and Topics are the names of the process's servers, and the topics on each of which it
	// has a server with each name.
	Names  []string `json:"names"`
	Topics []string `json:"topics"`
	// Version is the version of the servers, "1.2" if empty. With NoTyped, they have no typed
	// service.
	Version string `json:"version,omitempty"`
	NoTyped bool   `json:"noTyped,omitempty"`
	// Listen, Advertise, Workers, Queue and Grace are the options with the same names, unless they
	// are zero.
	Listen    string        `json:"listen,omitempty"`
	Advertise string        `json:"advertise,omitempty"`
	Workers   int           `json:"workers,omitempty"`
	Queue     int           `json:"queue,omitempty"`
	Grace     time.Duration `json:"grace,omitempty"`
	// Streams bounds the streams of a connection, if it is not 0.
	Streams uint32 `json:"streams,omitempty"`
	// StartWithin bounds the start of all servers; 0 for no bound.
	StartWithin time.Duration `json:"startWithin,omitempty"`
	// StopWithin bounds the stop; 0 for no bound.
	StopWithin time.Duration `json:"stopWithin,omitempty"`
	// More starts one more server, in the background, when the process gets SIGUSR1. With Quit, the
	// signal stops the first server by force.
	More bool `json:"more,omitempty"`
	Quit bool `json:"quit,omitempty"`
	// Watch has topics that the process also watches as a client.
	Watch []string `json:"watch,omitempty"`
	// NoSessions is true if the servers accept no sessions.
	NoSessions bool `json:"noSessions,omitempty"`
	// Sabotage is a guarantee that the process breaks, to prove that this is noticed.
	Sabotage Sabotage `json:"sabotage,omitempty"`
}

// serve runs the servers until ctx ends.
func (c *Config) serve(ctx context.Context, out *history.Writer) error {
	t, err := c.open(c.Server.options()...)
	if err != nil {
		return err
	}
	first, err := c.startAll(ctx, t, out)
	if err != nil {
		_ = t.Close() // the other error counts
		return err
	}
	stopWatching := c.watch(t)
	c.onSignal(ctx, func() {
		if c.Server.Quit {
			_ = first.server.Stop(canceled()) // it returns an error, since the stop is forced
		}
		if c.Server.More {
			_ = c.host("more", c.Server.Topics[0], out).start(context.WithoutCancel(ctx), t) // it may fail
		}
	})
	fmt.Fprintln(os.Stdout, Ready)
	<-ctx.Done()
	stopWatching()
	return c.shutdown(t)
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// shutdown shuts the transport down within its time limit.
func (c *Config) shutdown(t *oslorpc.Transport) error {
	bound := context.Background()
	if c.Server.StopWithin > 0 {
		var cancel context.CancelFunc
		bound, cancel = context.WithTimeout(bound, c.Server.StopWithin)
		defer cancel()
	}
	began := time.Now()
	err := t.Shutdown(bound)
	if took := time.Since(began); c.Server.StopWithin > 0 && took > c.Server.StopWithin+time.Second {
		return fmt.Errorf("the shutdown took %v of %v: %w", took, c.Server.StopWithin, err)
	}
	if c.Server.StopWithin > 0 {
		return nil // it may be forced
	}
	return err
}

func (s *Server) options() []oslorpc.TransportOption {
	var options []oslorpc.TransportOption
	if s.Listen != "" {
		options = append(options, oslorpc.WithListen(s.Listen))
	}
	if s.Advertise != "" {
		options = append(options, oslorpc.WithAdvertise(s.Advertise))
	}
	if s.Streams != 0 {
		options = append(options, oslorpc.WithServerOptions(grpc.MaxConcurrentStreams(s.Streams)))
	}
	if s.NoSessions {
		options = append(options, oslorpc.WithServerOptions(grpc.ChainUnaryInterceptor(
			func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				return handler(ctx, request) // with it, a server accepts no sessions, which would bypass it
			})))
	}
	if s.Grace != 0 {
		options = append(options, oslorpc.WithStopGrace(s.Grace))
	}
	return options
}

// startAll starts all servers concurrently, and returns the first.
func (c *Config) startAll(ctx context.Context, t *oslorpc.Transport, out *history.Writer) (first *host, failed error) {
	began := time.Now()
	errs := make(chan error)
	n := 0
	for _, topic := range c.Server.Topics {
		for _, name := range c.Server.Names {
			n++
			h := c.host(name, topic, out)
			first = cmp.Or(first, h)
			go func() { errs <- h.start(ctx, t) }()
		}
	}
	for range n {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	took := time.Since(began)
	if failed == nil && c.Server.StartWithin > 0 && took > c.Server.StartWithin {
		failed = fmt.Errorf("%d servers took %v to start, and may take %v", n, took, c.Server.StartWithin)
	}
	return first, failed
}

// onSignal calls a function when the process gets SIGUSR1.
func (c *Config) onSignal(ctx context.Context, do func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		defer signal.Stop(asked)
		select {
		case <-asked:
			do()
		case <-ctx.Done():
		}
	}()
}

func (c *Config) host(name, topic string, out *history.Writer) *host {
	return &host{Server: c.Server, config: c, process: c.Process, name: name, topic: topic, out: out, known: make(chan struct{})}
}

// host is a server of the process.
type host struct {
	*Server

	config               *Config
	server               *oslorpc.Server
	process, name, topic string
	out                  *history.Writer
	known                chan struct{} // closed when instance is known
	instance             string
}

func (h *host) start(ctx context.Context, t *oslorpc.Transport) error {
	var options []oslorpc.ServerOption
	if h.Workers > 0 {
		options = append(options, oslorpc.WithWorkers(h.Workers))
	}
	if h.Queue > 0 {
		options = append(options, oslorpc.WithQueue(h.Queue, 64<<20))
	}
	s := t.Server(oslorpc.Target{Topic: h.topic, Server: h.name}, options...)
	h.server = s
	s.Add(h.endpoint())
	if !h.NoTyped {
		v1.RegisterInventoryServiceServer(s, &inventory{host: h})
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("server %s on %s: %w", h.name, h.topic, err)
	}
	i, _ := s.Instance()
	h.instance = h.config.instanceOf(i)
	close(h.known)
	h.out.Write(history.Record{Up: &history.Up{Process: h.process, Topic: h.topic, Server: h.name, Instance: h.instance, At: time.Now()}})
	return nil
}

// instanceOf returns the identity of an instance. At a static address that is the address, since
// clients know nothing else, and a process has one server there.
func (c *Config) instanceOf(i oslorpc.Instance) string {
	if strings.HasPrefix(c.URL, "static:") {
		return i.Addr
	}
	return i.ID
}

// ran records that a message runs here, and returns the instance.
func (h *host) ran(ctx context.Context, id string) string {
	<-h.known
	asked := oslorpc.MessageFrom(ctx)
	e := &history.Execution{
		ID: id, Process: h.process, Server: h.name, Instance: h.instance, Version: asked.Target.Version, At: time.Now(),
	}
	if !h.drops(id) {
		h.out.Write(history.Record{Execution: e})
	}
	if h.repeats() {
		h.out.Write(history.Record{Execution: e})
	}
	return h.instance
}

// watch makes the process watch topics, like a client that sends to them regularly.
func (c *Config) watch(t *oslorpc.Transport) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, topic := range c.Server.Watch {
			client := t.Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(10*time.Second))
			_, _ = client.Fanout(ctx, "work", Job{ID: "fanout/" + c.Process + "/" + topic}) // only starts the watch
		}
	}()
	return func() { cancel(); <-done }
}
