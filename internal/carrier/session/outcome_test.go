package session_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// answersOnTheNext returns a server whose first stream hangs with a message. The server answers the
// message on the next stream.
func answersOnTheNext() func(serverStream) error {
	streams := 0
	return func(stream serverStream) error {
		if streams++; streams == 1 {
			_ = welcome(stream, nil)
			<-stream.Context().Done()
			return nil
		}
		if err := welcome(stream, func(o *pb.SessionOpened) { o.Received = 1 }); err != nil {
			return err
		}
		if err := stream.Send(result(1, "1")); err != nil {
			return err
		}
		return drain(stream)
	}
}

// A server that is back before the deadline still has the outcome, however long it was away, and
// whatever discovery reported meanwhile.
func TestServersThatWereAway(t *testing.T) {
	t.Parallel()
	const away = 55 * time.Second // of a minute
	for name, loses := range map[string]func(w *world) (mend func()){
		"refused": func(w *world) func() {
			w.host.Kill()
			return w.listen
		},
		"silent": func(w *world) func() {
			w.host.Partition()
			return w.host.Heal
		},
		"silent and not listed": func(w *world) func() {
			w.host.Partition()
			w.link.Unlist(true)
			return w.host.Heal
		},
		"refused, and listed again": func(w *world) func() {
			w.link.Unlist(true)
			w.link.Unlist(false)
			w.host.Kill()
			return w.listen
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, answersOnTheNext(), func(w *world) {
				var mend func()
				lost := time.AfterFunc(time.Second, func() {
					mend = loses(w)
					time.Sleep(away)
					mend()
				})
				defer lost.Stop()
				if got, err := w.call(w.Context(), "{}"); got != "1" || err != nil {
					w.Errorf("got %q, %v", got, err)
				}
			})
		})
	}
}

// Callers of a process that is proved to be dead fail at once. Without a proof they wait until
// their deadline, and the error says why.
func TestProofsOfDeath(t *testing.T) {
	t.Parallel()
	second := func(then func(serverStream) error) func(serverStream) error {
		streams := 0
		return func(stream serverStream) error {
			if streams++; streams > 1 {
				return then(stream)
			}
			if err := welcome(stream, nil); err != nil {
				return err
			}
			if _, err := next(stream); err != nil {
				return err
			}
			<-stream.Context().Done()
			return nil
		}
	}
	hangs := func(stream serverStream) error { <-stream.Context().Done(); return nil }
	restart := func(w *world) { w.host.Kill(); w.listen() }
	for name, test := range map[string]struct {
		key    carrier.Key
		then   func(serverStream) error
		loses  func(w *world)
		proved bool
	}{
		"another process": {then: func(stream serverStream) error {
			return welcome(stream, func(o *pb.SessionOpened) { o.BootId, o.Resumed = "b2", false })
		}, loses: restart, proved: true},
		"the process, without the session": {then: func(stream serverStream) error {
			return welcome(stream, func(o *pb.SessionOpened) { o.Resumed = false })
		}, loses: restart, proved: true},
		"another program": {then: func(serverStream) error { return status.Error(codes.Unimplemented, "no") }, loses: restart, proved: true},
		"nothing, and it is not listed": {then: hangs, loses: func(w *world) {
			w.host.Kill()
			w.link.Unlist(true)
		}, proved: true},
		"nothing on this machine": {
			key:  carrier.Key{Addr: "127.0.0.1:1", BootID: "b1"},
			then: hangs, loses: func(w *world) { w.host.Kill() }, proved: true,
		},
		"nothing behind a socket": {
			key:  carrier.Key{Addr: "unix:/a", BootID: "b1"},
			then: hangs, loses: func(w *world) { w.host.Kill() }, proved: true,
		},
		"nothing at an address that another process may refuse": {
			key:  carrier.Key{Addr: "127.0.0.1:1"},
			then: hangs, loses: func(w *world) { w.host.Kill() },
		},
		"nothing":       {then: hangs, loses: func(w *world) { w.host.Kill() }},
		"silence":       {then: hangs, loses: func(w *world) { w.host.Partition() }},
		"it hangs":      {then: hangs, loses: restart},
		"it is refused": {then: func(serverStream) error { return status.Error(codes.PermissionDenied, "no") }, loses: restart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.key.Addr == "" {
				test.key = carrier.Key{Addr: "node1", BootID: "b1"}
			}
			playAt(t, test.key, second(test.then), func(w *world) {
				begun := time.Now()
				lost := time.AfterFunc(time.Second, func() { test.loses(w) })
				defer lost.Stop()
				_, err := w.call(w.Context(), "{}")
				took := time.Since(begun)
				if rpc.SafeToRetry(err) {
					w.Errorf("it is safe to retry: %v", err)
				}
				switch {
				case test.proved && (rpc.KindOf(err) != rpc.OutcomeUnknown || took > 5*time.Second):
					w.Errorf("after %v: %v", took, err)
				case !test.proved && (rpc.KindOf(err) != rpc.Timeout || took != time.Minute || !strings.Contains(err.Error(), "the connection to the server was lost")):
					w.Errorf("after %v: %v", took, err)
				}
				w.host.Heal()
				synctest.Wait()
			})
		})
	}
}

// If a server's streams break repeatedly, the client pauses before it tries again.
func TestStreamsThatBreakAgainAndAgain(t *testing.T) {
	t.Parallel()
	streams := 0
	play(t, func(stream serverStream) error {
		if err := welcome(stream, func(o *pb.SessionOpened) { o.Received = 1 }); err != nil {
			return err
		}
		if streams++; streams == 1 {
			if _, err := next(stream); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "it breaks")
	}, func(w *world) {
		if _, err := w.call(w.Context(), "{}"); rpc.KindOf(err) != rpc.Timeout || rpc.SafeToRetry(err) {
			w.Errorf("got %v", err)
		}
		if _, opens := w.counts(); opens > 100 {
			w.Errorf("%d streams were opened in a minute", opens)
		}
	})
}

// Of the messages to a process that died, only the messages that gRPC had accepted have an unknown
// outcome. This is as much as fits into a stream that is not read. Messages that waited for their
// turn were never sent.
func TestMessagesThatNeverLeft(t *testing.T) {
	t.Parallel()
	playAt(t, carrier.Key{Addr: "127.0.0.1:1", BootID: "b1"}, func(stream serverStream) error {
		if err := welcome(stream, func(o *pb.SessionOpened) { o.Credit.Bytes = 1 << 20 }); err != nil {
			return err
		}
		<-stream.Context().Done() // it reads nothing
		return nil
	}, func(w *world) {
		const messages, size = 30, 30 << 10
		kwargs := `{"a":"` + strings.Repeat("x", size) + `"}`
		lost := time.AfterFunc(time.Second, w.host.Kill)
		defer lost.Stop()
		var calls sync.WaitGroup
		var unknown, safe atomic.Int64
		for range messages {
			calls.Go(func() {
				switch _, err := w.call(w.Context(), kwargs); {
				case rpc.KindOf(err) == rpc.OutcomeUnknown:
					unknown.Add(1)
				case rpc.SafeToRetry(err):
					safe.Add(1)
				default:
					w.Errorf("got %v", err)
				}
			})
		}
		calls.Wait()
		const taken = 128<<10/size + 1 // the window of a stream, and what gRPC takes beyond it
		w.Logf("%d messages may have arrived, %d did not leave", unknown.Load(), safe.Load())
		if unknown.Load() == 0 || unknown.Load() > taken || safe.Load() != messages-unknown.Load() {
			w.Errorf("%d messages may have arrived, and at most %d can have", unknown.Load(), taken)
		}
	}, grpc.StaticStreamWindowSize(64<<10), grpc.StaticConnWindowSize(1<<20))
}
