package oslorpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// controlled returns a server with oslo.messaging's example of an endpoint that stops its server.
func controlled(transport *oslorpc.Transport, stop func(context.Context, *oslorpc.Server) error) *oslorpc.Server {
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"), oslorpc.Endpoint{
		Namespace: "control", Version: "2.0", Methods: map[string]oslorpc.Method{
			"stop": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
				return "stopping", stop(ctx, s)
			}),
		},
	})
	return s
}

func TestMethodStopsItsOwnServer(t *testing.T) {
	stopWith := map[string]func(context.Context, *oslorpc.Server) error{
		"its context": func(ctx context.Context, s *oslorpc.Server) error { return s.Stop(ctx) },
		"a context derived from it, and ended": func(ctx context.Context, s *oslorpc.Server) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return errors.Join(s.Stop(ctx), s.Stop(ctx))
		},
	}
	for name, stop := range stopWith {
		for _, kind := range []string{"call", "cast"} {
			t.Run(kind+" with "+name, func(t *testing.T) {
				s := controlled(open(t), stop)
				c := client(t, oslorpc.WithNamespace("control"), oslorpc.WithVersion("2.0"))
				for range 2 { // a server that stopped itself can be started again
					if err := s.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					var err error
					if kind == "cast" {
						err = c.Cast(t.Context(), "stop", nil)
					} else {
						_, err = oslorpc.Call[string](t.Context(), c, "stop", nil)
					}
					if err != nil {
						t.Error(err)
					}
					s.Wait()
					until(t, "it has stopped", func() bool {
						_, running := s.Instance()
						return !running
					})
				}
			})
		}
	}
}

func TestMethodShutsItsTransportDown(t *testing.T) {
	transport := open(t)
	s := controlled(transport, func(ctx context.Context, _ *oslorpc.Server) error { return transport.Shutdown(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	c := client(t, oslorpc.WithNamespace("control"), oslorpc.WithVersion("2.0"))
	if _, err := oslorpc.Call[string](t.Context(), c, "stop", nil); err != nil {
		t.Error(err)
	}
	if err := errors.Join(<-ended, transport.Close()); err != nil {
		t.Error(err)
	}
	wantKind(t, s.Start(t.Context()), oslorpc.Invalid, true)
}

// A method that stops and starts its own server would wait for itself.
func TestMethodCannotRestartItsServer(t *testing.T) {
	restarted := make(chan error, 1)
	s := controlled(open(t), func(ctx context.Context, s *oslorpc.Server) error {
		err := s.Stop(ctx)
		restarted <- s.Start(ctx)
		return err
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client(t, oslorpc.WithNamespace("control"), oslorpc.WithVersion("2.0")).Cast(t.Context(), "stop", nil); err != nil {
		t.Fatal(err)
	}
	err := <-restarted
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "node1", "after that")
}

// hanging serves a method that runs until its context ends.
func hanging(t *testing.T) (s *oslorpc.Server, ended <-chan struct{}) {
	t.Helper()
	entered, left := make(chan struct{}), make(chan struct{})
	s = serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"hang": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			close(entered)
			<-ctx.Done()
			close(left)
			return nil, nil
		}),
	}})
	if err := client(t).Cast(t.Context(), "hang", nil); err != nil {
		t.Fatal(err)
	}
	<-entered
	return s, left
}

// A stop with a short deadline also ends a concurrent stop without one.
func TestImpatientStopBesideAPatientOne(t *testing.T) {
	s, left := hanging(t)
	patient := make(chan error, 1)
	go func() { patient <- s.Stop(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.Stop(ctx)
	wantKind(t, err, oslorpc.Timeout, false)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it does not say why: %v", err)
	}
	wantKind(t, <-patient, oslorpc.Timeout, false)
	<-left
}

// A start during a stop waits for the stop, until the context of the start ends.
func TestStartWhileStopping(t *testing.T) {
	s, left := hanging(t)
	hurry, force := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(hurry) }()
	until(t, "it refuses", func() bool {
		return oslorpc.IsNotDelivered(client(t, oslorpc.WithRetry(0)).Cast(t.Context(), "hang", nil))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantKind(t, s.Start(ctx), oslorpc.Timeout, true)
	started := make(chan error, 1)
	go func() { started <- s.Start(context.Background()) }()
	force()
	<-left
	wantKind(t, <-stopped, oslorpc.Timeout, false)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if _, running := s.Instance(); !running {
		t.Error("it does not run")
	}
}

// A failed start leaves nothing behind and can be tried again. In oslo.messaging, the second start
// does nothing and reports nothing.
func TestFailedStartCanBeTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := open(t, oslorpc.WithListen(taken.Addr().String()))
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"))
	for range 2 {
		if err := s.Start(t.Context()); oslorpc.KindOf(err) != oslorpc.Invalid {
			t.Errorf("got %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stop after a failed start: %v", err)
		}
		s.Wait()
	}
	if err := errors.Join(taken.Close(), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if name, err := oslorpc.Call[string](t.Context(), client(t), "whoami", nil); name != "node1" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestLifecycleConcurrently(t *testing.T) {
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"))
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for n := range 20 {
				var err error
				switch (i + n) % 3 {
				case 0:
					err = s.Start(context.Background())
				case 1:
					err = s.Stop(context.Background())
				default:
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					err = s.Run(ctx)
					cancel()
				}
				if err != nil && (oslorpc.KindOf(err) != oslorpc.Timeout || !strings.Contains(err.Error(), "the server still st")) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(s.Stop(t.Context()), s.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	s.Wait()
}
