package oslorpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A program is notified of each start when others can find the server, before Start returns and
// before Run handles messages.
func TestStarted(t *testing.T) {
	for _, executor := range []oslorpc.Executor{oslorpc.ExecutorPool, oslorpc.ExecutorBlocking} {
		t.Run(string(executor), func(t *testing.T) {
			told := make(chan oslorpc.Instance, 10)
			transport := open(t)
			var s *oslorpc.Server
			s = transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithExecutor(executor),
				oslorpc.WithStarted(func(i oslorpc.Instance) {
					if listed, err := transport.Instances(t.Context()); err != nil || len(listed) != 1 || listed[0].ID != i.ID {
						t.Errorf("told of %+v, but listed are %+v, %v", i, listed, err)
					}
					if known, runs := s.Instance(); !runs || known.Addr != i.Addr || i.State != oslorpc.StateActive {
						t.Errorf("told of %+v, but the server is %+v", i, known)
					}
					told <- i
				}))
			s.Add(newAgent("node1").endpoint("1.0"))
			for range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				<-told
				if executor == oslorpc.ExecutorPool {
					if err := s.Start(ctx); err != nil { // it finds the server running
						t.Error(err)
					}
				}
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("a clean stop is an error: %v", err)
				}
			}
			if n := len(told); n != 0 {
				t.Errorf("told %d times too often", n)
			}
		})
	}
}

func TestStartedIsNotToldOfAFailedStart(t *testing.T) {
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithExecutor("eventlet"),
		oslorpc.WithStarted(func(i oslorpc.Instance) { t.Errorf("told of %+v", i) }))
	wantKind(t, s.Start(t.Context()), oslorpc.Invalid, true)
	wantKind(t, s.Run(t.Context()), oslorpc.Invalid, true)
}
