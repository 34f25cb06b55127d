package novarpc_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A service on two hosts can be reached in all three ways.
func TestThreeWays(t *testing.T) {
	t.Parallel()
	r := open(t)
	a, b := newManager("a"), newManager("b")
	serve(t, r, "host-a", a, "compute")
	serve(t, open(t), "host-b", b, "compute")
	topic := novarpc.Topic("compute")

	got := map[string]int{}
	for range 10 {
		got[call(t, r, topic)]++
	}
	if got["a"] == 0 || got["b"] == 0 || len(got) != 2 {
		t.Errorf("calls of the topic were answered by %v, not by both", got)
	}
	for host, want := range map[string]string{"host-a": "a", "host-b": "b"} {
		for range 3 {
			if name := call(t, r, novarpc.QueueGetFor("compute", host)); name != want {
				t.Errorf("the call of %s was answered by %s", host, name)
			}
		}
	}
	report, err := r.FanoutCast(t.Context(), topic, note("to all"))
	if err != nil || len(report.Accepted) != 2 || report.Err() != nil {
		t.Errorf("fanout: %+v, %v", report, err)
	}
	if err := r.Cast(t.Context(), novarpc.QueueGetFor("compute", "host-b"), note("to b")); err != nil {
		t.Error(err)
	}
	a.hasRun(t, "to all")
	b.hasRun(t, "to all", "to b")
	if err := r.Cast(t.Context(), topic, note("to any")); err != nil {
		t.Error(err)
	}
	select {
	case <-a.ran:
	case <-b.ran:
	case <-time.After(patience):
		t.Error("the cast to any did not run")
	}
}

func TestRequestContextGoesAlong(t *testing.T) {
	t.Parallel()
	r := open(t)
	serve(t, r, "host", newManager("m"), "compute")
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "alice"})
	user, err := novarpc.Call[string](ctx, r, novarpc.Topic("compute"), novarpc.Msg{Method: "user"})
	if user != "alice" || err != nil {
		t.Errorf("the manager saw the user %q, %v", user, err)
	}
}

func TestMulticall(t *testing.T) {
	t.Parallel()
	r := open(t)
	m := newManager("m")
	serve(t, r, "host", m, "compute")
	queue := novarpc.QueueGetFor("compute", "host")

	var items []int
	var last error
	for n, err := range novarpc.Multicall[int](t.Context(), r, queue, novarpc.Msg{Method: "count", Args: map[string]any{"to": 3}}) {
		if last = err; err == nil {
			items = append(items, n)
		}
	}
	var failure *oslorpc.RemoteError
	if !slices.Equal(items, []int{1, 2, 3}) || !errors.As(last, &failure) || failure.Message != "that is all" {
		t.Errorf("got %v, then %v", items, last)
	}
	for n, err := range novarpc.Multicall[int](t.Context(), r, queue, novarpc.Msg{Method: "endless"}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			break
		}
	}
	m.hasRun(t, "ended")
	for name, err := range novarpc.Multicall[string](t.Context(), r, queue, novarpc.Msg{Method: "whoami"}) {
		if name != "m" || err != nil {
			t.Errorf("of a plain method it yields %q, %v", name, err)
		}
	}
}

func TestFanoutCastToNoServerSucceeds(t *testing.T) {
	t.Parallel()
	report, err := open(t).FanoutCast(t.Context(), novarpc.Topic("compute"), note("x"))
	if err != nil || len(report.Accepted)+len(report.Skipped)+len(report.Failed) != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	r := open(t, oslorpc.WithTimeout(patience), oslorpc.WithFailFast(true))
	serve(t, r, "host", newManager("m"), "compute")
	topic := novarpc.Topic("compute")
	whoami := novarpc.Msg{Method: "whoami"}
	for _, test := range []struct {
		name  string
		queue novarpc.Queue
		msg   novarpc.Msg
		kind  oslorpc.Kind
		says  string
	}{
		{"no queue", novarpc.Queue{}, whoami, oslorpc.InvalidTarget, "topic"},
		{"no method", topic, novarpc.Msg{}, oslorpc.InvalidTarget, "method"},
		{"unknown method", topic, novarpc.Msg{Method: "x"}, oslorpc.NoSuchMethod, "x"},
		{"version too new", topic, novarpc.Msg{Method: "whoami", Version: "1.1"}, oslorpc.UnsupportedVersion, "1.1"},
		{"unknown namespace", topic, novarpc.Msg{Method: "whoami", Namespace: "x"}, oslorpc.UnsupportedVersion, "x"},
		{"unknown argument", topic, novarpc.Msg{Method: "note", Args: map[string]any{"text": "", "x": 1}}, oslorpc.BadArguments, "x"},
		{"unknown topic", novarpc.Topic("x"), whoami, oslorpc.NoInstance, "x"},
		{"unknown host", novarpc.QueueGetFor("compute", "x"), whoami, oslorpc.NoInstance, "x"},
		{"a host in the name of the topic", novarpc.Topic("compute.host"), whoami, oslorpc.NoInstance, "compute.host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := novarpc.Call[any](t.Context(), r, test.queue, test.msg)
			wantError(t, err, test.kind, test.says)
			for _, err := range novarpc.Multicall[any](t.Context(), r, test.queue, test.msg) {
				wantError(t, err, test.kind, test.says)
			}
			if test.kind != oslorpc.BadArguments { // a cast is accepted before they are read
				wantError(t, r.Cast(t.Context(), test.queue, test.msg), test.kind, test.says)
			}
		})
	}
	_, err := r.FanoutCast(t.Context(), novarpc.QueueGetFor("compute", "host"), whoami)
	wantError(t, err, oslorpc.InvalidTarget, `Topic("compute")`)
	_, err = r.FanoutCast(t.Context(), novarpc.Queue{}, whoami)
	wantError(t, err, oslorpc.InvalidTarget, "topic")
}

// The options of New apply to every message, and so does the deadline of ctx.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, send := range map[string]func() error{
		"option": func() error {
			return open(t, oslorpc.WithTimeout(0)).Cast(t.Context(), novarpc.Topic("compute"), note("x"))
		},
		"context": func() error { return open(t).Cast(expired, novarpc.Topic("compute"), note("x")) },
	} {
		if err := send(); err == nil || !oslorpc.SafeToRetry(err) {
			t.Errorf("%s: got %v, want an error of a message that was not sent", name, err)
		}
	}
}
