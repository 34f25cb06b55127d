package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestDeliversInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		var s script
		for turn := range uint64(4) {
			m := message()
			m.Turn = turn
			if took, err := w.deliver(t, time.Minute, m, &s); err != nil || took != 0 {
				t.Errorf("after %v: %v", took, err)
			}
		}
		s.expect(t, "a", "b", "a", "b")
	})
}

func TestRefusedGoesElsewhere(t *testing.T) {
	tests := map[string]struct {
		answer error
		gone   bool // for now
	}{
		"full":        {full, false},
		"stopping":    {stopping, true},
		"misdirected": {misdirected, true},
		"too old":     {tooOld, false},
		"no method":   {noMethod, false},
		"not sent":    {notSent, false},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		answer error
		gone   bool
	}) {
		w := newWorld(t, instance("a"), instance("b"), instance("c"))
		var s script
		s.says("a", tt.answer).says("b", tt.answer)
		took, err := w.deliver(t, time.Minute, message(), &s)
		if err != nil || took != 0 {
			t.Errorf("after %v: %v", took, err)
		}
		s.expect(t, "a", "b", "c")
		if reached, _, _ := w.topic.Now().All(message().Query); (len(reached) == 1) != tt.gone {
			t.Errorf("%d instances are left", len(reached))
		}
	})
}

// TestFinalErrorsAreReturnedAtOnce checks errors of messages that may have run, or that no other
// server would accept.
func TestFinalErrorsAreReturnedAtOnce(t *testing.T) {
	tests := map[string]error{}
	for _, k := range []rpc.Kind{rpc.Remote, rpc.OutcomeUnknown, rpc.Timeout, rpc.MonitorTimeout, rpc.Canceled, rpc.BadResult, rpc.TooLarge, rpc.AccessDenied} {
		tests["may have run: "+k.Name()] = mayHaveRun(k)
	}
	// Other kinds in a status prove nothing.
	for _, k := range []rpc.Kind{rpc.UnsupportedVersion, rpc.NoSuchMethod, rpc.Refused, rpc.Unreachable, rpc.NoInstance, rpc.BadArguments} {
		tests["not known not to have run: "+k.Name()] = mayHaveRun(k)
	}
	for _, k := range []rpc.Kind{rpc.BadArguments, rpc.InvalidTarget, rpc.TooLarge, rpc.AccessDenied, rpc.Timeout, rpc.Canceled} {
		tests["no better elsewhere: "+k.Name()] = notStarted(k)
	}
	tests["of no kind"] = errors.New("a defect")
	bubble(t, tests, func(t *testing.T, answer error) {
		w := newWorld(t, instance("a"), instance("b"))
		s := (&script{}).says("a", full).says("b", answer)
		took, err := w.deliver(t, time.Minute, message(), s)
		if took != 0 || rpc.KindOf(err) != rpc.KindOf(answer) || rpc.SafeToRetry(err) != rpc.SafeToRetry(answer) {
			t.Errorf("after %v: %v, want %v", took, err, answer)
		}
		s.expect(t, "a", "b")
	})
}

func TestFullEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		s := (&script{}).says("a", full).says("b", full)
		took, err := w.deliver(t, 10*time.Second, message(), s)
		about(t, took, 10*time.Second, 10*time.Second)
		expectLate(t, err, rpc.Refused, "queue is full")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error does not match the deadline: %v", err)
		}
		// There are six pauses that double from 20 ms, and then one a second, each with a jitter of
		// up to a half.
		if n := len(s.sent) / 2; n < 12 || n > 26 {
			t.Errorf("all instances were tried %d times in ten seconds", n)
		}
	})
}

func TestFullForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		s := (&script{}).says("a", full).says("b", full)
		time.AfterFunc(3*time.Second, func() { s.says("b") })
		took, err := w.deliver(t, time.Minute, message(), s)
		if err != nil {
			t.Error(err)
		}
		about(t, took, 3*time.Second, 4500*time.Millisecond)
	})
}

func TestFullUntilAnotherComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		s := (&script{}).says("a", full)
		time.AfterFunc(20*time.Second, func() { w.registry.list(instance("a"), instance("b")) })
		took, err := w.deliver(t, time.Minute, message(), s)
		if err != nil || took != 20*time.Second {
			t.Errorf("after %v: %v; news must end a pause", took, err)
		}
	})
}

func TestRoundsAreCounted(t *testing.T) {
	tests := map[string]struct {
		instances []rpc.Instance
		m         *Message
		kind      rpc.Kind
		sent      int
		most      time.Duration
	}{
		"full, once":       {[]rpc.Instance{instance("a"), instance("b")}, message(rounds(1)), rpc.Refused, 2, 0},
		"full, thrice":     {[]rpc.Instance{instance("a"), instance("b")}, message(rounds(3)), rpc.Refused, 6, 100 * time.Millisecond},
		"nobody, once":     {[]rpc.Instance{}, message(rounds(1)), rpc.NoInstance, 0, 0},
		"nobody, thrice":   {[]rpc.Instance{}, message(rounds(3)), rpc.NoInstance, 0, 100 * time.Millisecond},
		"a stranger, once": {[]rpc.Instance{instance("a")}, message(rounds(1), to("x")), rpc.NoInstance, 0, 0},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		instances []rpc.Instance
		m         *Message
		kind      rpc.Kind
		sent      int
		most      time.Duration
	}) {
		w := newWorld(t, tt.instances...)
		s := (&script{}).says("a", full).says("b", full)
		took, err := w.deliver(t, time.Minute, tt.m, s)
		expectError(t, err, tt.kind)
		about(t, took, 0, tt.most)
		if len(s.sent) != tt.sent {
			t.Errorf("it was sent %d times, want %d", len(s.sent), tt.sent)
		}
	})
}

func TestFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, []rpc.Instance{}...)
		w.registry.list()
		s := (&script{}).says("a", full, full, full, nil)
		took, err := w.deliver(t, time.Minute, message(failFast), s)
		expectError(t, err, rpc.NoInstance, "no server is on the topic, according to a store at 192.0.2.1; start one, or check topic, exchange and transport URL")
		about(t, took, 0, 0)
		w.registry.list(instance("a"))
		if took, err = w.deliver(t, time.Minute, message(failFast), s); err != nil {
			t.Errorf("it does not wait for one that is full: after %v: %v", took, err)
		}
		took, err = w.deliver(t, time.Minute, message(failFast, to("host-x")), s)
		expectError(t, err, rpc.NoInstance, `no server named "host-x" is on the topic, according to a store at 192.0.2.1; start it, or check its name`)
		about(t, took, 0, 0)
	})
}

func TestFailFastWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("nowhere")), instance("b", at("nowhere")))
		begin := time.Now()
		err := One(within(t, time.Minute), w.topic, message(failFast), invoke)
		expectError(t, err, rpc.Unreachable, "connection refused")
		about(t, time.Since(begin), 0, time.Second)
	})
}

func TestUnableAtOnce(t *testing.T) {
	tests := map[string]struct {
		m     *Message
		words []string
	}{
		"any":       {message(), []string{"no server on the topic serves version 1.2", "offered is 1.1 of the default namespace"}},
		"namespace": {message(func(m *Message) { m.Query.Namespace = "ns" }), []string{`namespace "ns"`, "1.1"}},
		"server":    {message(to("host-old")), []string{`server "host-old" does not serve version 1.2`, "1.1"}},
		"server of another major version": {
			message(to("host-new"), func(m *Message) { m.Query.Version.Major = 3 }),
			[]string{`server "host-new" does not serve version 3.2`, "offered is 1.4 of"},
		},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		m     *Message
		words []string
	}) {
		draining := func(i *rpc.Instance) { i.State = rpc.StateDraining }
		w := newWorld(t, instance("old", old), instance("new", draining))
		var s script
		took, err := w.deliver(t, time.Minute, tt.m, &s)
		about(t, took, 0, 0)
		expectError(t, err, rpc.UnsupportedVersion, tt.words...)
		s.expect(t)
	})
}

// TestUnableAccordingToThemselves checks instances that refuse a message which the registry allows.
// The registry may not know what instances implement, and it never knows their methods.
func TestUnableAccordingToThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"), instance("c"))
		s := (&script{}).says("a", noMethod).says("b", tooOld).says("c", noMethod)
		took, err := w.deliver(t, time.Minute, message(), s)
		about(t, took, 0, 0)
		expectError(t, err, rpc.NoSuchMethod)
		s.expect(t, "a", "b", "c")
	})
}

func TestUnableAfterItWasFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		s := (&script{}).says("a", full, noMethod).says("b", noMethod)
		took, err := w.deliver(t, time.Minute, message(), s)
		about(t, took, 0, 100*time.Millisecond)
		expectError(t, err, rpc.NoSuchMethod)
	})
}

// TestWhyNotIsTheReasonOfThoseThatCould checks that the error has the reason of an instance that
// could serve the message. An instance that never can says nothing about why the others did not.
func TestWhyNotIsTheReasonOfThoseThatCould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"), instance("c"))
		s := (&script{}).says("a", noMethod).says("b", full).says("c", tooOld)
		took, err := w.deliver(t, 10*time.Second, message(), s)
		about(t, took, 10*time.Second, 10*time.Second)
		expectError(t, err, rpc.Refused, "full")
	})
}
