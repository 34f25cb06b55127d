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

// The stream of a client that says nothing for half a minute is ended. The session is kept, and its
// client may ask.
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

// What an idle session holds, both ends together, but for its part of a connection.
const maxIdle = 40 << 10

// Ten thousand sessions that nothing happens in take little memory, and nothing is sent in them.
func TestIdleSessions(t *testing.T) {
	const n = 10_000
	h := hold(t)
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
}

// inUse returns the memory that is in use, with stacks.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// The credit bounds what a client has in a session that it never reads: a result that is beyond it
// ends the session.
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
