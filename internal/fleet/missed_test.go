package fleet

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func entry(id string) *route.Entry { return &route.Entry{Instance: instance(id)} }

// wantMissed checks how long ago an instance missed a message, as the next message would report. A
// negative duration means that it missed none.
func wantMissed(t *testing.T, m *Missed, e *route.Entry, want time.Duration) Hint {
	t.Helper()
	h, got := m.Hint(e), time.Duration(-1)
	if h.Ago != 0 {
		got = h.Ago
	}
	if got != want {
		t.Errorf("%s is told of %v, want %v", e.ID, got, want)
	}
	return h
}

func TestMissedIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, b := &Missed{}, entry("a"), entry("b")
		namesake := entry("c")
		namesake.Server = a.Server
		wantMissed(t, m, a, -1)
		m.Instance(a)
		time.Sleep(time.Second)
		for _, other := range []*route.Entry{b, namesake} {
			wantMissed(t, m, other, -1)
		}
		wantMissed(t, m, a, time.Second).Settle(nil)
		wantMissed(t, m, a, -1)

		m.Instance(a)
		m.Server(compute, a.Server)
		wantMissed(t, m, namesake, 1)
		wantMissed(t, m, a, 1).Settle(nil)
		wantMissed(t, m, a, -1)
		wantMissed(t, m, namesake, -1)
		if n := m.count.Load(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	})
}

func TestMissedByStaticAddress(t *testing.T) {
	m, a, b := &Missed{}, entry(""), entry("")
	a.Addr, b.Addr = "one", "two"
	m.Instance(a)
	if m.Hint(b).Ago != 0 || m.Hint(a).Ago == 0 {
		t.Error("the addresses are not told apart")
	}
}

// TestMissedStaysUntilAnswered checks that only an answer of the server shows that it got the
// report.
func TestMissedStaysUntilAnswered(t *testing.T) {
	signed, declined := *refusal.New(refusal.Full), *refusal.New(refusal.Declined)
	signed.Server, declined.Server = "host-a", "host-a"
	for name, test := range map[string]struct {
		err   error
		stays bool
	}{
		"accepted":         {nil, false},
		"the method fails": {&rpc.Error{Kind: rpc.Remote, Server: "host-a"}, false},
		"full":             {&signed, false},
		"declined":         {&declined, true},
		"denied":           {&rpc.Error{Kind: rpc.AccessDenied, Server: "host-a", NotStarted: true}, true},
		"denied when run":  {&rpc.Error{Kind: rpc.AccessDenied, Server: "host-a"}, false},
		"misdirected":      {refusal.New(refusal.Misdirected), true},
		"not sent":         {&rpc.Error{Kind: rpc.Unreachable, NotStarted: true}, true},
		"lost":             {&rpc.Error{Kind: rpc.OutcomeUnknown}, true},
		"late":             {&rpc.Error{Kind: rpc.Timeout}, true},
	} {
		m, a := &Missed{}, entry("a")
		m.Instance(a)
		m.Hint(a).Settle(test.err)
		if stays := m.Hint(a).Ago != 0; stays != test.stays {
			t.Errorf("%s: it stays: %v", name, stays)
		}
	}
}

// TestMissedWhileTold checks a message that fails while another message reports an earlier failure.
// The new failure is not forgotten, even if it occurs at the same time.
func TestMissedWhileTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a := &Missed{}, entry("a")
		m.Instance(a)
		m.Server(compute, a.Server)
		first, second := m.Hint(a), m.Hint(a)
		m.Instance(a)
		first.Settle(nil)
		second.Settle(nil)
		wantMissed(t, m, a, 1).Settle(nil)
		first.Settle(nil)
		wantMissed(t, m, a, -1)
	})
}

// TestMissedTellsOfTheLast checks that a server that restarted between two failures is told about
// the second.
func TestMissedTellsOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a := &Missed{}, entry("a")
		m.Instance(a)
		time.Sleep(time.Minute)
		m.Server(compute, a.Server)
		time.Sleep(time.Second)
		wantMissed(t, m, a, time.Second)
		m.Instance(a)
		wantMissed(t, m, a, 1)
	})
}

func TestMissedIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, b := &Missed{}, entry("a"), entry("b")
		m.Instance(a)
		time.Sleep(missedTime)
		m.Instance(b)
		wantMissed(t, m, a, missedTime)
		time.Sleep(1)
		wantMissed(t, m, a, -1)
		wantMissed(t, m, b, 1)
		time.Sleep(missedTime)
		wantMissed(t, m, b, -1)
		if m.count.Load() != 0 || m.order.Len() != 0 || len(m.records) != 0 {
			t.Error("records are left")
		}
	})
}

func TestMissedIsBounded(t *testing.T) {
	m := &Missed{}
	for i := range maxMissed {
		m.Instance(entry(fmt.Sprint(i)))
	}
	m.Instance(entry("0")) // now the youngest
	m.Instance(entry("another"))
	if m.order.Len() != maxMissed || len(m.records) != maxMissed || m.count.Load() != maxMissed {
		t.Errorf("%d, %d, %d records", m.order.Len(), len(m.records), m.count.Load())
	}
	for id, want := range map[string]bool{"0": true, "1": false, "2": true, "another": true} {
		if got := m.Hint(entry(id)).Ago != 0; got != want {
			t.Errorf("%s is remembered: %v", id, got)
		}
	}
}

func TestMissedCostsNothingWhileEmpty(t *testing.T) {
	m, a := &Missed{}, entry("a")
	m.Instance(a)
	m.Hint(a).Settle(nil)
	if n := testing.AllocsPerRun(1000, func() { m.Hint(a).Settle(nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	m.mu.Lock() // it is not needed
	defer m.mu.Unlock()
	m.Hint(a).Settle(nil)
}
