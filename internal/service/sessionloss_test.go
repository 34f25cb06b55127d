package service

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/memnet"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// serveInMemory is like serve in a synctest bubble, with options of the services.
func serveInMemory(t *testing.T, options []Option, servers ...*intake.Server) *fleet {
	t.Helper()
	var network memnet.Network
	host := network.ListenAt("node1")
	in := newIntake(nil, servers...)
	server := grpc.NewServer()
	services := New(in, options...)
	services.Register(server, false)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(host) }) // it ends when it is stopped
	conn, err := grpc.NewClient("passthrough:///node1", grpc.WithContextDialer(network.Dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		serving.Wait()
	})
	return &fleet{pb.NewRPCServiceClient(conn), pb.NewIntrospectionServiceClient(conn), in, services}
}

// lostSession opens a session, sends messages for methods, and loses the stream.
func (h *holding) lostSession(t *testing.T, id string, methods ...string) {
	t.Helper()
	ctx, cut := context.WithCancel(t.Context())
	s, err := openSession(ctx, h, &pb.SessionOpen{Id: idOf(id)})
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range methods {
		s.message(uint64(n+1), ask(m))
	}
	synctest.Wait()
	cut()
	synctest.Wait()
}

// resume opens another stream of a session, whose client asks for the results of messages.
func (h *holding) resume(t *testing.T, id string, outstanding ...uint64) *sessionClient {
	t.Helper()
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf(id), Resume: true, Outstanding: outstanding})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// After the loss of its connection, a method continues for the grace period. Its client can ask for
// the outcome even after that.
func TestGrace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []Option
		grace   time.Duration
	}{
		"by default": {nil, SessionGrace},
		"short":      {[]Option{WithGrace(time.Second)}, time.Second},
		"long":       {[]Option{WithGrace(3 * time.Minute)}, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := holdInMemory(t, test.options...)
				h.lostSession(t, "a", "wait")
				time.Sleep(test.grace - time.Millisecond)
				synctest.Wait()
				if len(h.ended) > 0 {
					t.Fatal("it ended before the grace")
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if len(h.ended) == 0 {
					t.Fatal("it runs on after the grace")
				}
				if err := <-h.ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if test.grace > keepTime {
					return // its session ended with it
				}
				s := h.resume(t, "a", 1)
				if r, err := s.result(); err != nil || r.GetSeq() != 1 || status.Code(statusIn(r)) == codes.OK {
					t.Errorf("got %v, %v", r, err)
				}
				if err := s.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// If a client is back within the grace period, its method continues. If the client gives up, the
// method is canceled.
func TestBackWithinTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := holdInMemory(t)
		h.lostSession(t, "a", "wait", "wait")
		time.Sleep(SessionGrace - time.Second)
		s := h.resume(t, "a", 1, 2)
		time.Sleep(2 * SessionGrace)
		synctest.Wait()
		if len(h.ended) > 0 {
			t.Fatal("a method ended though its client was back")
		}
		s.send(&pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: 1}})
		synctest.Wait()
		if len(h.ended) != 1 {
			t.Fatalf("%d methods ended when one was canceled", len(h.ended))
		}
		h.goOn <- struct{}{}
		for range 2 {
			if _, err := s.result(); err != nil {
				t.Error(err)
			}
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// Results are kept for a minute after the loss of the connection, and so is the knowledge which
// messages did not arrive.
func TestHowLongResultsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := holdInMemory(t)
		h.lostSession(t, "result", "echo")
		h.lostSession(t, "nothing")
		time.Sleep(keepTime - time.Second)
		s := h.resume(t, "result", 1)
		if r, err := s.result(); err != nil || r.GetResponse().GetResult().GetJson() != "1" {
			t.Errorf("got %v, %v", r, err)
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
		s = h.resume(t, "nothing", 1)
		if !s.opened.GetResumed() || s.opened.GetReceived() != 0 || len(s.opened.GetForgotten()) > 0 {
			t.Errorf("got %v", s.opened)
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
		h.lostSession(t, "late", "echo")
		time.Sleep(keepTime + time.Second)
		if s := h.resume(t, "late", 1); s.opened.GetResumed() {
			t.Error("the result is kept after its time")
		}
	})
}

// The number of a caller's sessions without a connection is limited. The session that lost its
// connection first is dropped.
func TestHowManySessionsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := holdInMemory(t)
		h.lostSession(t, "first", "wait")
		time.Sleep(time.Millisecond)
		for n := range maxLost - 1 {
			h.lostSession(t, string(rune('a'+n)), "echo")
		}
		if len(h.ended) > 0 {
			t.Fatal("a session was dropped too early")
		}
		h.lostSession(t, "last", "echo")
		if err := <-h.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if s := h.resume(t, "first", 1); s.opened.GetResumed() {
			t.Error("there is no bound")
		}
		s := h.resume(t, "last", 1)
		if r, err := s.result(); err != nil || r.GetSeq() != 1 {
			t.Errorf("got %v, %v", r, err)
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
		time.Sleep(keepTime) // the others end
	})
}
