package dispatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCallEmitsTheItemsOfTheResult(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{
		"one":  returns(`"x"`),
		"none": plain(func(context.Context, Emit) error { return nil }),
		"many": plain(func(_ context.Context, emit Emit) error {
			return errors.Join(emit("1"), emit("2"), emit("3"))
		}),
		"echo": echo(),
	})
	for method, want := range map[string][]string{"one": {`"x"`}, "none": nil, "many": {"1", "2", "3"}} {
		items, err := call(t.Context(), s, request(method, ""))
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
		same(t, method, items, want)
	}
	items, err := call(t.Context(), s, &Request{Method: "echo", Version: version(""), Kwargs: `{"a":[1]}`})
	if err != nil {
		t.Error(err)
	}
	same(t, "echo", items, []string{`{"a":[1]}`})
}

func TestMethodKnowsWhatItWasAsked(t *testing.T) {
	t.Parallel()
	infos, dicts := make(chan *rpc.Message, 1), make(chan map[string]any, 1)
	method := plain(func(ctx context.Context, emit Emit) error {
		infos <- MessageFrom(ctx)
		dicts <- msgcontext.Dict(ctx)
		return emit("null")
	})
	table := NewTable([]Endpoint{{Namespaces: []string{"n", "old"}, Version: version("1.4"), Methods: map[string]*Method{"foo": method}}})
	s := New(Config{Name: "net1", Table: table, Limits: DefaultLimits, Phase: phase.Opened(), Log: newLog(t.Output())})
	defer func() { _ = s.Stop(t.Context()) }()
	r := &Request{Method: "foo", Target: rpc.Target{Namespace: "old"}, Version: version("1.2"), Kwargs: "{}", Context: `{"user":"bob"}`, ID: "id1"}
	if _, err := call(t.Context(), s, r); err != nil {
		t.Fatal(err)
	}
	want := rpc.Message{Target: rpc.Target{Namespace: "old", Version: "1.2"}, Method: "foo", ID: "id1", Arguments: "{}"} // the version asked for
	if got := <-infos; !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if dict := <-dicts; dict["user"] != "bob" {
		t.Errorf("the request context is %v", dict)
	}
	cast := &Request{Method: "foo", Target: rpc.Target{Namespace: "old"}, Version: version("1.2"), Delivery: rpc.DeliveryCast, ID: "id2"}
	if err := s.Cast(t.Context(), cast); err != nil {
		t.Fatal(err)
	}
	want.ID, want.Delivery = "id2", rpc.DeliveryCast
	if got := <-infos; !reflect.DeepEqual(*got, want) {
		t.Errorf("of a cast: got %+v, want %+v", got, want)
	}
	if MessageFrom(t.Context()) != nil {
		t.Error("a context that is not of a method has a message")
	}
}

// oslo.messaging's dispatcher drops the request context if a message has none. So do we, whatever
// the context of the carrier contains.
func TestRequestContextIsTheMessagesOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": plain(func(ctx context.Context, emit Emit) error {
		return emit(fmt.Sprint(len(msgcontext.Dict(ctx))))
	})})
	ctx := msgcontext.With(t.Context(), map[string]any{"user": "of another message"})
	items, err := call(ctx, s, request("foo", ""))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "entries", items, []string{"0"})
}

func TestMessagesAreRefusedBeforeTheyRun(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{
		"foo": returns("1"),
		"typed": {Bind: func(string) (Invocation, error) {
			return nil, &rpc.Error{Kind: rpc.BadArguments, Message: "wanted integer", Path: "/a"}
		}},
		"plain": {Bind: func(string) (Invocation, error) { return nil, errors.New("no way") }},
	})
	for _, test := range []struct {
		name    string
		request Request
		kind    rpc.Kind
		message string
	}{
		{"no such method", Request{Method: "bar", Version: version("")}, rpc.NoSuchMethod, `"bar"`},
		{"no such version", Request{Method: "foo", Version: version("1.1")}, rpc.UnsupportedVersion, "1.1"},
		{"no such namespace", Request{Method: "foo", Target: rpc.Target{Namespace: "n"}, Version: version("")}, rpc.UnsupportedVersion, `"n"`},
		{"a context that is a list", Request{Method: "foo", Version: version(""), Context: "[]"}, rpc.BadArguments, "request context"},
		{"a context that is malformed", Request{Method: "foo", Version: version(""), Context: `{"a"`}, rpc.BadArguments, "request context"},
		{"arguments that do not fit", Request{Method: "typed", Version: version("")}, rpc.BadArguments, "wanted integer"},
		{"arguments that do not fit, untyped", Request{Method: "plain", Version: version("")}, rpc.BadArguments, "no way"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.request.Kwargs, test.request.ID = "{}", test.name
			for range 2 { // it may come again: nothing has run
				items, err := call(t.Context(), s, &test.request)
				e := check(t, err, test.kind, true, test.message)
				if test.request.Method == "typed" && e.Path != "/a" {
					t.Errorf("the path is %q", e.Path)
				}
				same(t, "items", items, nil)
			}
			if started, failed := counts(s, test.request.Method); started != 0 || failed != 0 {
				t.Errorf("%d count as started, %d as failed", started, failed)
			}
		})
	}
}

func TestCastRefusesAtOnceWhatNoEndpointServes(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	check(t, s.Cast(t.Context(), request("bar", "a")), rpc.NoSuchMethod, true)
	check(t, s.Cast(t.Context(), &Request{Method: "foo", Version: version("7.0")}), rpc.UnsupportedVersion, true)
	if err := s.Cast(t.Context(), request("foo", "a")); err != nil {
		t.Errorf("the id of a refused message cannot be used again: %v", err)
	}
}

func TestCastIsAcceptedBeforeItRuns(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, Limits{Workers: 1, Queue: 2, QueueBytes: 100}, map[string]*Method{"foo": g.method()})
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Cast(t.Context(), request("foo", id)); err != nil {
			t.Fatal(err)
		}
	}
	e := check(t, s.Cast(t.Context(), request("foo", "d")), rpc.Refused, true, "queue is full")
	if !errors.Is(e, refusal.Full) {
		t.Errorf("the reason is %v", e.Cause)
	}
	first := <-g.entered
	if got, want := s.Load(), (Load{Running: 1, Queued: 2, Refused: 1}); got != want {
		t.Errorf("the load is %+v, want %+v", got, want)
	}
	close(g.open)
	order := []string{first.ID, (<-g.entered).ID, (<-g.entered).ID}
	same(t, "the order", order, []string{"a", "b", "c"})
}

func TestWorkersAreNeverExceeded(t *testing.T) {
	t.Parallel()
	const workers, senders, rounds = 3, 16, 50
	var running, most, ran atomic.Int64
	method := plain(func(_ context.Context, emit Emit) error {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		defer running.Add(-1)
		ran.Add(1)
		return emit("null")
	})
	s := newServer(t, Limits{Workers: workers, Queue: senders * rounds, QueueBytes: 1 << 20}, map[string]*Method{"foo": method})
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for n := range rounds {
				var err error
				if r := request("foo", fmt.Sprint(i, " ", n)); n%2 == 0 {
					err = s.Cast(t.Context(), r)
				} else {
					_, err = call(t.Context(), s, r)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := ran.Load(); got != senders*rounds {
		t.Errorf("%d ran, want %d", got, senders*rounds)
	}
	if most.Load() > workers {
		t.Errorf("%d ran at once", most.Load())
	}
	if started, failed := counts(s, "foo"); started != senders*rounds || failed != 0 {
		t.Errorf("%d are counted as started, %d as failed", started, failed)
	}
}

func TestCallNotStartedWhenItsDeadlinePassesInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newServer(t, Limits{Workers: 1, Queue: 5, QueueBytes: 100}, map[string]*Method{"foo": g.method()})
		busy := started(t.Context(), s, request("foo", "a"))
		<-g.entered

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call(ctx, s, request("foo", "b"))
		if e := check(t, err, rpc.Timeout, true, "not started"); !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%v is not a context.DeadlineExceeded", e)
		}
		canceled, cancel := context.WithCancel(t.Context())
		later := started(canceled, s, request("foo", "c"))
		synctest.Wait()
		cancel()
		if e := check(t, <-later, rpc.Canceled, true, "not started"); !errors.Is(e, context.Canceled) {
			t.Errorf("%v is not a context.Canceled", e)
		}

		again := started(t.Context(), s, request("foo", "b")) // it did not start, so it may come again
		close(g.open)
		if err := errors.Join(<-busy, <-again); err != nil {
			t.Error(err)
		}
		if n, failed := counts(s, "foo"); n != 2 || failed != 0 {
			t.Errorf("%d count as started and %d as failed, want 2 and 0", n, failed)
		}
	})
}

func TestCallNotStartedWhenItComesTooLate(t *testing.T) {
	t.Parallel()
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err := call(ctx, s, request("foo", "a"))
	check(t, err, rpc.Timeout, true)
	if n, _ := counts(s, "foo"); n != 0 {
		t.Error("it was started")
	}
}

func TestOversizedMessageWaitsAlone(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, Limits{Workers: 1, Queue: 5, QueueBytes: 10}, map[string]*Method{"foo": g.method()})
	large := request("foo", "")
	large.Kwargs = `{"a":"` + strings.Repeat("x", 100) + `"}`
	if err := s.Cast(t.Context(), request("foo", "")); err != nil {
		t.Fatal(err)
	}
	if err := s.Cast(t.Context(), large); err != nil {
		t.Errorf("refused though nothing waits: %v", err)
	}
	check(t, s.Cast(t.Context(), request("foo", "")), rpc.Refused, true)
	close(g.open)
}
