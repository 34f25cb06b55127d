package delivery

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMissed(t *testing.T) {
	for name, test := range map[string]struct {
		err        error
		call, cast bool
	}{
		"nobody":               {&rpc.Error{Kind: rpc.NoInstance, NotStarted: true}, true, true},
		"refused":              {full, true, true},
		"unreachable":          {notSent, true, true},
		"untrusted":            {untrusted, true, true},
		"lost":                 {&rpc.Error{Kind: rpc.OutcomeUnknown}, true, true},
		"quiet":                {&rpc.Error{Kind: rpc.MonitorTimeout}, true, true},
		"late, before":         {&rpc.Error{Kind: rpc.Timeout, NotStarted: true}, true, true},
		"late, sent":           {&rpc.Error{Kind: rpc.Timeout}, false, true},
		"late, at the server":  {&rpc.Error{Kind: rpc.Timeout, NotStarted: true, Server: "a"}, false, false},
		"received before":      {&rpc.Error{Kind: rpc.OutcomeUnknown, Server: "a"}, false, false},
		"denied":               {&rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Server: "a"}, false, false},
		"canceled":             {&rpc.Error{Kind: rpc.Canceled, NotStarted: true}, false, false},
		"the method fails":     {&rpc.Error{Kind: rpc.Remote, Server: "a"}, false, false},
		"not that version":     {&rpc.Error{Kind: rpc.UnsupportedVersion, NotStarted: true}, false, false},
		"the transport closed": {&rpc.Error{Kind: rpc.Invalid, NotStarted: true}, false, false},
		"none of ours":         {errors.New("x"), false, false},
	} {
		if got := (&Message{}).missed(test.err); got != test.call {
			t.Errorf("%s: of a call: %v", name, got)
		}
		if got := (&Message{Cast: true}).missed(test.err); got != test.cast {
			t.Errorf("%s: of a cast: %v", name, got)
		}
	}
}

// TestDeniedCopyIsNotMissed checks that a server that denies a message did not miss it. The next
// allowed message must not make the server read everything again.
func TestDeniedCopyIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		denied := &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Server: "host-a"}
		results, err := w.everybody(within(t, time.Minute), message(), func(_ context.Context, to Attempt) error {
			if to.Entry.Server == "host-a" {
				return denied
			}
			return lost
		})
		if err != nil || len(results) != 2 {
			t.Fatalf("got %v, %v", results, err)
		}
		time.Sleep(time.Second) // of the bubble
		for _, r := range results {
			if want := map[string]rpc.Kind{"host-a": rpc.AccessDenied, "host-b": rpc.OutcomeUnknown}[r.Entry.Server]; rpc.KindOf(r.Err) != want {
				t.Errorf("got %v, want %v", r.Err, want)
			}
			if missed := w.topic.Missed().Hint(r.Entry).Ago != 0; missed != (r.Entry.Server == "host-b") {
				t.Errorf("%s: it counts as missed: %v", r.Entry.Server, missed)
			}
		}
	})
}

// TestCopyWhoseGoroutineEnds checks that there is a result for the instance at once, and that its
// error does not say that nothing was sent.
func TestCopyWhoseGoroutineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		results, err := w.everybody(within(t, time.Minute), message(), func(_ context.Context, to Attempt) error {
			if to.Entry.Server == "host-a" {
				runtime.Goexit()
			}
			return nil
		})
		if err != nil || len(results) != 2 {
			t.Fatalf("got %v, %v", results, err)
		}
		for _, r := range results {
			if ended := r.Entry.Server == "host-a"; ended != (rpc.KindOf(r.Err) == rpc.AccessDenied) || rpc.SafeToRetry(r.Err) {
				t.Errorf("%s: got %v", r.Entry.Server, r.Err)
			}
		}
	})
}

// TestMissedByNoServer checks that a message without a server name does not count as a message for
// a server without a name, which static addresses may have.
func TestMissedByNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nameless := func(i *rpc.Instance) { i.ID, i.BootID, i.Server = "", "", "" }
		w := newWorld(t, instance("a", nameless))
		m, s := message(), &script{}
		s.says("", lost)
		if _, err := w.deliver(t, time.Second, m, s); err == nil {
			t.Fatal("it was delivered")
		}
		for _, e := range w.topic.Now().Entries() {
			if w.topic.Missed().Hint(e).Ago != 0 {
				t.Error("it counts as missed")
			}
		}
	})
}
