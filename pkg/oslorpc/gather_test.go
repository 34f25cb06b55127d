package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// outcomes ranges over a gather and returns the outcome at each server: a value or an error.
func outcomes[R any](t *testing.T, seq iter.Seq2[oslorpc.Reply[R], error]) (map[string]R, map[string]error) {
	t.Helper()
	values, failures, n, expected := map[string]R{}, map[string]error{}, 0, 0
	for r, err := range seq {
		n, expected = n+1, r.Total
		if err != nil {
			failures[r.Instance.Server] = err
			continue
		}
		values[r.Instance.Server] = r.Value
	}
	if n != expected || n != len(values)+len(failures) {
		t.Errorf("%d replies where %d were expected: %v, %v", n, expected, values, failures)
	}
	return values, failures
}

// scene is a fleet with servers whose method "whoami" hangs until it is canceled, and one server
// that replies as soon as these methods hang. Therefore no method is canceled before it began.
type scene struct {
	hanging int
	begun   chan struct{}
	ended   chan error
}

func newScene(t *testing.T, hanging ...string) *scene {
	t.Helper()
	s := &scene{len(hanging), make(chan struct{}, 100), make(chan error, 100)}
	for _, name := range hanging {
		serve(t, name, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"whoami": oslorpc.Func(s.hang)}})
	}
	serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"whoami": oslorpc.Func(s.reply)}})
	return s
}

func (s *scene) hang(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
	s.begun <- struct{}{}
	<-ctx.Done()
	s.ended <- ctx.Err()
	return nil, ctx.Err()
}

func (s *scene) reply(context.Context, oslorpc.NoArgs) (string, error) {
	for range s.hanging {
		<-s.begun
	}
	return "node1", nil
}

func replying(result any, err error) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return result, err }),
	}}
}

func TestGatherYieldsOneReplyOfEachServer(t *testing.T) {
	for _, name := range []string{"node1", "node2", "node3"} {
		serve(t, name, newAgent(name).endpoint("1.1"))
	}
	serve(t, "old", newAgent("old").endpoint("1.0"))
	serve(t, "lacks", oslorpc.Endpoint{Version: "1.1"})
	serve(t, "broken", replying(nil, errBroken))
	serve(t, "odd", replying(7, nil))
	// The target's server and fanout are ignored.
	c := client(t, oslorpc.WithVersion("1.1"), oslorpc.WithServer("node1"), oslorpc.WithFanout(true))
	skipped := map[string]bool{}
	values, failures := outcomes(t, func(yield func(oslorpc.Reply[string], error) bool) {
		for r, err := range oslorpc.Gather[string](t.Context(), c, "whoami", nil) {
			if r.Skipped {
				skipped[r.Instance.Server] = true
			}
			if err != nil && r.Value != "" {
				t.Errorf("%s has a value beside its error: %q", r.Instance.Server, r.Value)
			}
			if !yield(r, err) {
				return
			}
		}
	})
	if fmt.Sprint(values) != "map[node1:node1 node2:node2 node3:node3]" || len(failures) != 4 {
		t.Errorf("values %v, failures %v", values, failures)
	}
	wantKind(t, failures["old"], oslorpc.UnsupportedVersion, true)
	wantKind(t, failures["lacks"], oslorpc.NoSuchMethod, true)
	wantKind(t, failures["broken"], oslorpc.Remote, false)
	wantKind(t, failures["odd"], oslorpc.BadResult, false)
	wantText(t, failures["odd"], "whoami at")
	if fmt.Sprint(skipped) != "map[lacks:true old:true]" {
		t.Errorf("skipped are %v", skipped)
	}
}

// The expected servers are known before the message is sent. The set is fixed: a server that starts
// later does not get the message.
func TestGatherKnowsWhoIsExpected(t *testing.T) {
	a := newAgent("new")
	serve(t, "new", a.endpoint("1.1"))
	serve(t, "old", newAgent("old").endpoint("1.0"))
	var expected []string
	told := oslorpc.WithAudience(func(list []oslorpc.Instance) {
		for _, i := range list {
			expected = append(expected, i.Server)
		}
		if a.casts.Load() != 0 {
			t.Error("it was sent already")
		}
		serve(t, "late", newAgent("late").endpoint("1.1"))
	})
	values, failures := outcomes(t, oslorpc.Gather[any](t.Context(), client(t, oslorpc.WithVersion("1.1")), "note", nil, told))
	if !slices.Equal(expected, []string{"new", "old"}) || len(values) != 1 || len(failures) != 1 || a.casts.Load() != 1 {
		t.Errorf("expected %v, got %v, %v", expected, values, failures)
	}
}

func TestGatherFromNoServer(t *testing.T) {
	values, failures := outcomes(t, oslorpc.Gather[any](t.Context(), client(t), "note", nil))
	if len(values)+len(failures) != 0 {
		t.Errorf("got %v, %v", values, failures)
	}
}

func TestGatherIsLazyAndSingleUse(t *testing.T) {
	a := newAgent("node1")
	serve(t, "node1", a.endpoint("1.0"))
	c := client(t)
	seq := oslorpc.Gather[any](t.Context(), c, "note", nil)
	if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil || a.casts.Load() != 0 {
		t.Errorf("it ran before it was ranged over: %v", err)
	}
	outcomes(t, seq)
	for r, err := range seq {
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, "once")
		if r.Total != 0 {
			t.Errorf("an error that is about no server comes with %v", r)
		}
	}
	if a.casts.Load() != 1 {
		t.Errorf("it ran %d times", a.casts.Load())
	}
}

func TestGatherThatCannotBegin(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	closed := open(t)
	closed.Close()
	for name, test := range map[string]struct {
		client *oslorpc.Client
		args   any
		kind   oslorpc.Kind
	}{
		"no topic":      {client(t, oslorpc.WithTopic(oslorpc.None)), nil, oslorpc.InvalidTarget},
		"above the cap": {client(t, oslorpc.WithVersionCap("1.0"), oslorpc.WithVersion("1.1")), nil, oslorpc.VersionCapExceeded},
		"bad arguments": {client(t), 3, oslorpc.BadArguments},
		"closed":        {closed.Client(oslorpc.Target{Topic: "agents"}), nil, oslorpc.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for r, err := range oslorpc.Gather[any](t.Context(), test.client, "whoami", test.args) {
				n++
				wantKind(t, err, test.kind, true)
				if r.Total != 0 {
					t.Errorf("it comes with %v", r)
				}
			}
			if n != 1 {
				t.Errorf("%d errors came", n)
			}
		})
	}
}

func TestAbandonedGatherCancelsTheMethods(t *testing.T) {
	s := newScene(t, "hangs1", "hangs2")
	for r, err := range oslorpc.Gather[string](t.Context(), client(t), "whoami", nil) {
		if err != nil || r.Value != "node1" || r.Total != 3 {
			t.Errorf("got %v, %v", r, err)
		}
		break
	}
	for range 2 {
		if err := <-s.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a method's context ended with %v", err)
		}
	}
}

// However a gather ends early, the replies so far are not lost, and the gather reports the servers
// that did not reply.
func TestGatherThatEndsEarly(t *testing.T) {
	s := newScene(t, "hangs")
	for name, test := range map[string]struct {
		options []oslorpc.ClientOption
		stall   time.Duration
		limit   time.Duration // of ctx; the cancellation comes with the first reply if it is 0
		kind    oslorpc.Kind
		says    string
	}{
		"stalled":               {stall: 2 * time.Second, limit: time.Minute, kind: oslorpc.Timeout, says: "no server replied for 2s"},
		"its timeout":           {options: []oslorpc.ClientOption{oslorpc.WithTimeout(2 * time.Second)}, limit: time.Minute, kind: oslorpc.Timeout},
		"the deadline of ctx":   {limit: 2 * time.Second, kind: oslorpc.Timeout},
		"canceled":              {stall: time.Minute, kind: oslorpc.Canceled},
		"its monitor's timeout": {options: []oslorpc.ClientOption{monitor(time.Minute), oslorpc.WithTimeout(2 * time.Second)}, limit: time.Minute, kind: oslorpc.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.limit)
				defer cancel()
			}
			seq := oslorpc.Gather[string](ctx, client(t, test.options...), "whoami", nil, oslorpc.WithStall(test.stall))
			values, failures := outcomes(t, func(yield func(oslorpc.Reply[string], error) bool) {
				for r, err := range seq {
					if test.limit == 0 {
						cancel()
					}
					if !yield(r, err) {
						return
					}
				}
			})
			if values["node1"] != "node1" {
				t.Errorf("values: %v", values)
			}
			wantKind(t, failures["hangs"], test.kind, false)
			wantText(t, failures["hangs"], test.says, "whoami at")
			<-s.ended
		})
	}
}

// The stall timer restarts with each reply and is paused while the consumer works.
func TestStallIsBetweenReplies(t *testing.T) {
	const stall = 600 * time.Millisecond
	turn := make(chan struct{})
	wait := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			<-turn
			return nil, nil
		}),
	}}
	for _, name := range []string{"a", "b", "c"} {
		serve(t, name, wait)
	}
	go func() { turn <- struct{}{} }()
	n := 0
	for _, err := range oslorpc.Gather[any](t.Context(), client(t), "whoami", nil, oslorpc.WithStall(stall)) {
		n++
		if err != nil {
			t.Error(err)
		}
		if n == 1 {
			<-time.After(stall * 3 / 2) // at work
		}
		if n < 3 {
			turn <- struct{}{}
		}
	}
	if n != 3 {
		t.Errorf("%d replies", n)
	}
}

func TestGatherOutlivesAServer(t *testing.T) {
	dies, lives := &stub{}, &stub{monitored: func(_ *pb.MonitoredCallRequest, stream monitoredStream) error {
		return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: &pb.CallResponse{}}})
	}}
	var asked atomic.Int64
	dies.monitored = func(m *pb.MonitoredCallRequest, stream monitoredStream) error {
		asked.Add(1)
		go dies.grpc.Stop()
		return dies.hang(m, stream)
	}
	c := clientOf(t, "agents="+dies.serve(t)+",agents="+lives.serve(t), monitor(5*time.Second))
	good, bad := 0, 0
	for r, err := range oslorpc.Gather[any](t.Context(), c, "m", nil) {
		if err == nil {
			good++
			continue
		}
		bad++
		wantKind(t, err, oslorpc.OutcomeUnknown, false)
		if r.Instance.Addr == "" {
			t.Error("the error does not say who died")
		}
	}
	if good != 1 || bad != 1 || asked.Load() != 1 {
		t.Errorf("%d replies, %d failures, asked %d times", good, bad, asked.Load())
	}
}
