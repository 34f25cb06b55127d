package service

import (
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Messages that arrive together do not wait for each other's methods, even if a method ends its
// goroutine. The workers end after a while without messages.
func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each = 30 // of each method, more than the workers that may be idle
		h := holdInMemory(t)
		s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
		if err != nil {
			t.Fatal(err)
		}
		for round := range uint64(2) {
			h.sendTogether(t, s, round*3*each, each, "wait", "exit", "echo")
			h.settled(t, s, map[string]int{"failed": each, "1": each})
			for range each { // all of them wait at the same time
				<-h.began
			}
			for range each {
				h.goOn <- struct{}{}
			}
			h.settled(t, s, map[string]int{`"done"`: each})
			synctest.Wait()
			if n := h.idleWorkers(); n == 0 || n > idleWorkers {
				t.Errorf("%d workers are idle, want 1 to %d", n, idleWorkers)
			}
			time.Sleep(2 * idleWorkerTime)
			synctest.Wait()
			if n := h.idleWorkers(); n != 0 {
				t.Errorf("%d workers are still idle", n)
			}
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// The workers end with the last stream.
func TestWorkersWithoutSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := holdInMemory(t)
		s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
		if err != nil {
			t.Fatal(err)
		}
		h.sendTogether(t, s, 0, 3, "echo")
		h.settled(t, s, map[string]int{"1": 3})
		synctest.Wait()
		workers := h.services.sessions.workers
		if err := s.end(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(workers.idle) > 0 || !workers.over {
			t.Errorf("%d workers are still idle", len(workers.idle))
		}
	})
}

// A check may fire in the moment in which the last stream ends, and then run after the workers have
// ended. It leaves the lock, which messages of the ended streams need.
func TestCheckOfEndedWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &workers{check: time.NewTimer(time.Hour), unused: 1}
		woken := make(chan bool, 1)
		w.idle = append(w.idle, woken)
		w.end()
		w.trim()
		if <-woken || !w.mu.TryLock() {
			t.Error("the check did not end")
		}
	})
}

// idleWorkers returns how many workers of the process are idle.
func (h *holding) idleWorkers() int {
	w := h.services.sessions.workers
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.idle)
}

// sendTogether sends messages for each of the methods in one message of gRPC.
func (h *holding) sendTogether(t *testing.T, s *sessionClient, seq uint64, each int, names ...string) {
	t.Helper()
	var all []*pb.SessionRequest
	for range each {
		for _, name := range names {
			seq++
			all = append(all, &pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq, Message: ask(name)}}})
		}
	}
	first := all[0]
	first.More = all[1:]
	if err := s.Send(first); err != nil {
		t.Fatal(err)
	}
}

// settled receives results, and compares how many there are of each kind.
func (h *holding) settled(t *testing.T, s *sessionClient, want map[string]int) {
	t.Helper()
	n := 0
	for _, count := range want {
		n += count
	}
	got := map[string]int{}
	for range n {
		r, err := s.result()
		if err != nil {
			t.Fatal(err)
		}
		kind := r.GetResponse().GetResult().GetJson()
		if statusIn(r) != nil {
			kind = "failed"
		}
		got[kind]++
	}
	for kind, count := range want {
		if got[kind] != count {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
