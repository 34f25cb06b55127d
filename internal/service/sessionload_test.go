package service

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// If a client is silent for half a minute, its stream ends. The session is kept, and its client may
// ask for outcomes.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := holdInMemory(t)
		s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
		if err != nil {
			t.Fatal(err)
		}
		s.message(1, ask("wait"))
		begun := time.Now()
		if _, err := s.result(); status.Code(err) != codes.Unavailable {
			t.Errorf("the stream ended with %v", err)
		}
		if took := time.Since(begun); took < silentTime || took > silentTime+tickTime {
			t.Errorf("the stream ended after %v", took)
		}
		again := h.resume(t, "a", 1)
		if !again.opened.GetResumed() || len(again.opened.GetForgotten()) > 0 {
			t.Errorf("got %v", again.opened)
		}
		if err := again.end(); err != nil {
			t.Error(err)
		}
	})
}

// maxIdle is the maximum memory of an idle session, both ends together, without its part of a
// connection.
const maxIdle = 40 << 10

// Ten thousand idle sessions take little memory, and nothing is sent in them.
func TestIdleSessions(t *testing.T) {
	const n = 10_000
	synctest.Test(t, func(t *testing.T) { // else the sessions end on a busy machine while they are opened
		h := holdInMemory(t)
		var sessions []*sessionClient
		before := inUse()
		for i := range n {
			s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf(fmt.Sprint(i))})
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, s)
		}
		each := (inUse() - before) / n
		t.Logf("%d bytes for each of %d idle sessions, both ends together", each, n)
		if each > maxIdle {
			t.Errorf("an idle session takes %d bytes, and at most %d are allowed", each, maxIdle)
		}
		for _, s := range sessions {
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// inUse returns the memory in use, including stacks.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// The credit limits the results of a client that never reads: a message beyond the credit ends the
// session.
func TestCreditOfAClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(creditMessages + creditSlack) {
		s.message(seq+1, ask("echo"))
	}
	info, err := h.GetInfo(t.Context(), &pb.GetInfoRequest{})
	if err != nil || info.GetSessions().GetKept()+info.GetSessions().GetRunning() > creditMessages+creditSlack {
		t.Errorf("got %v, %v", info.GetSessions(), err)
	}
	s.message(creditMessages+creditSlack+1, ask("echo"))
	for err == nil {
		_, err = s.Recv()
	}
	if code := status.Code(err); code != codes.InvalidArgument {
		t.Errorf("the stream ended with %v", err)
	}
}
