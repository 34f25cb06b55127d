package dispatch

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// tally sums call statistics and returns the number of rows.
func tally(s *Dispatcher) (rows int, accepted, refused, uncounted int64) {
	list, uncounted := s.Requests()
	for _, c := range list {
		accepted += c.Accepted
		refused += c.Refused
	}
	return len(list), accepted, refused, uncounted
}

// statsText returns the rows as "namespace method version caller accepted/refused".
func (s *Dispatcher) statsText() (text []string) {
	list, _ := s.Requests()
	for _, c := range list {
		text = append(text, fmt.Sprintf("%s %s %s %s %d/%d", c.Namespace, c.Method, c.Version, c.Caller, c.Accepted, c.Refused))
	}
	return text
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	for _, r := range []Request{
		{Method: "foo", Version: version(""), Caller: "b"},
		{Method: "foo", Version: version(""), Caller: "a"},
		{Method: "foo", Version: version(""), Caller: "a", ID: "once"},
		{Method: "foo", Version: version(""), Caller: "a", ID: "once"}, // is not accepted again
		{Method: "foo", Version: version("1.1"), Caller: "a"},
		{Method: "bar", Version: version("")},
		{Method: "foo", Version: version(""), Target: rpc.Target{Namespace: "n"}, Caller: "a"},
	} {
		_, _ = call(t.Context(), s, &r)
	}
	if err := s.Cast(t.Context(), &Request{Method: "foo", Version: version(""), Kwargs: "{}", Caller: "a"}); err != nil {
		t.Error(err)
	}
	same(t, "requests", s.statsText(), []string{
		" bar 1.0 unknown 0/1", " foo 1.0 a 3/0", " foo 1.0 b 1/0", " foo 1.1 a 0/1", "n foo 1.0 a 0/1",
	})
}

func TestMessagesThatFindNoRoomAreNotCountedAsAccepted(t *testing.T) {
	t.Parallel()
	s := newServer(t, Limits{Workers: 1, Queue: 0, QueueBytes: 1000}, map[string]*Method{"foo": returns("1")})
	s.config.Phase.Stall()
	if _, err := call(t.Context(), s, request("foo", "")); err == nil {
		t.Fatal("want the server to be full")
	}
	same(t, "requests", s.statsText(), nil)
}

func TestCensusIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, nil)
	now := time.Now()
	for i := range 2000 {
		s.stats.count(ask(&Request{Method: "foo", Caller: fmt.Sprint("caller", i)}), false, now)
	}
	if n, accepted, _, uncounted := tally(s); n != maxOwn+1 || accepted != 2000 || uncounted != 0 {
		t.Errorf("one method: %d rows, %d accepted, %d uncounted", n, accepted, uncounted)
	}
	for i := range 2000 {
		s.stats.count(ask(&Request{Method: fmt.Sprint("method", i), Caller: "a"}), false, now)
	}
	if n, accepted, _, uncounted := tally(s); n != maxRows || accepted+uncounted != 4000 || uncounted != 2000-(maxRows-maxOwn-1) {
		t.Errorf("many methods: %d rows, %d accepted, %d uncounted", n, accepted, uncounted)
	}
	s.stats.count(ask(&Request{Method: "foo", Caller: "caller0"}), false, now)
	list, _ := s.Requests()
	for _, c := range list {
		if c.Caller == "caller0" && c.Accepted != 2 {
			t.Errorf("a known caller of full statistics: %+v", c)
		}
	}
}

func TestRefusedMessagesLeaveRoom(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, nil)
	for i := range 2000 {
		s.stats.count(ask(&Request{Method: fmt.Sprint("nonsense", i), Caller: "a"}), true, time.Now())
	}
	if n, _, refused, uncounted := tally(s); n != maxRefused || refused != maxRefused || refused+uncounted != 2000 {
		t.Errorf("%d rows, %d refused, %d uncounted", n, refused, uncounted)
	}
	s.stats.count(ask(&Request{Method: "foo", Caller: "new"}), false, time.Now())
	if text := strings.Join(s.statsText(), "\n"); !strings.Contains(text, "foo 0.0 new 1/0") {
		t.Error("what is served is not counted any more")
	}
}

func TestCensusLosesNothingWhileItFills(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, nil)
	const workers, each = 8, 3000
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for i := range each {
				r := &Request{Method: fmt.Sprint("method", i%50), Caller: fmt.Sprint("caller", (i*7+w)%400)}
				s.stats.count(ask(r), i%5 == 0, time.Now())
				if i%1000 == 0 {
					s.Requests()
				}
			}
		})
	}
	done.Wait()
	n, accepted, refused, uncounted := tally(s)
	if n > maxRows || accepted+refused+uncounted != workers*each {
		t.Errorf("%d rows; %d accepted, %d refused and %d uncounted of %d", n, accepted, refused, uncounted, workers*each)
	}
	if n < maxOwn {
		t.Errorf("only %d rows: nothing was folded", n)
	}
}

func TestNamesInACensusAreShortAndReadable(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, nil)
	long := strings.Repeat("é", 5000)
	s.stats.count(ask(&Request{Method: long, Target: rpc.Target{Namespace: long}, Caller: long}), true, time.Now())
	s.stats.count(ask(&Request{Method: "foo", Caller: "a\xff\xfeb"}), true, time.Now())
	list, _ := s.Requests()
	if c := list[1]; len(c.Method) != 254 || len(c.Namespace) != 254 || len(c.Caller) != 128 || !utf8.ValidString(c.Method+c.Caller) {
		t.Errorf("got names of %d, %d and %d bytes", len(c.Namespace), len(c.Method), len(c.Caller))
	}
	if list[0].Caller != "a?b" {
		t.Errorf("got %q", list[0].Caller)
	}
}

func TestCensusKnowsWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c callStats
		start := time.Now()
		for range 7 {
			c.count(ask(&Request{Method: "foo"}), false, time.Now())
			time.Sleep(400 * time.Millisecond)
		}
		s := &Dispatcher{}
		s.stats.rows.Store(c.rows.Load())
		list, _ := s.Requests()
		if got := list[0]; !got.First.Equal(start) || got.Last.Sub(start) != 2400*time.Millisecond {
			t.Errorf("first %s, last %s after the start", got.First.Sub(start), got.Last.Sub(start))
		}
	})
}

func TestCountingAllocatesNothing(t *testing.T) {
	var c callStats
	r := &Request{Method: "get_port", Target: rpc.Target{Namespace: "ports"}, Version: version("1.2"), Caller: "agent@node1"}
	now := time.Now()
	c.count(ask(r), false, now)
	if n := testing.AllocsPerRun(1000, func() { c.count(ask(r), false, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range maxRows {
		c.count(ask(&Request{Method: fmt.Sprint(i)}), false, now)
	}
	unknown := &Request{Method: "unknown"}
	if n := testing.AllocsPerRun(1000, func() { c.count(ask(unknown), false, now) }); n != 0 {
		t.Errorf("%v allocations when it is full", n)
	}
}

// prover is a sender that proved a name.
type prover string

func (prover) Metadata() rpc.Metadata { return nil }

func (p prover) Peer() rpc.Peer {
	return rpc.Peer{Identity: rpc.Identity{Proof: rpc.ProofTLS, Names: []string{string(p), "dns:other"}}}
}

// Callers are counted by the name that they proved together with the name that they claim, even if
// no rows are left.
func TestCensusHasIdentities(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, nil)
	now := time.Now()
	for range 2 {
		s.stats.count(ask(&Request{Method: "foo", Caller: "a", Origin: prover("dns:a")}), false, now)
		s.stats.count(ask(&Request{Method: "foo", Caller: "a"}), false, now)
	}
	list, _ := s.Requests()
	if len(list) != 2 || list[0].Identity != "" || list[1].Identity != "dns:a" || list[0].Accepted != 2 || list[1].Accepted != 2 {
		t.Errorf("counted are %+v", list)
	}
	for i := range maxRows {
		s.stats.count(ask(&Request{Method: "foo", Caller: fmt.Sprint(i)}), false, now)
	}
	s.stats.count(ask(&Request{Method: "foo", Caller: "b", Origin: prover("dns:b")}), false, now)
	others := map[string]int64{}
	list, _ = s.Requests()
	for _, c := range list {
		if c.Caller == OtherCallers {
			others[c.Identity] += c.Accepted
		}
	}
	if len(others) != 2 || others[OtherCallers] != 1 || others[""] == 0 {
		t.Errorf("the others are %v", others)
	}
}
