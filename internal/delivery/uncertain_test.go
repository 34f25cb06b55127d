package delivery

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestFanoutDuringAnOutageSaysThatItIsUncertain checks that a fanout during an outage of the
// registry reports that its receivers are uncertain. If it reaches no server, it is an error.
func TestFanoutDuringAnOutageSaysThatItIsUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		away := func() { w.registry.tell(registry.Update{Err: errors.New("the agent is away")}) }
		for _, outage := range []bool{false, true, false} {
			if outage {
				away()
			} else {
				w.registry.list(instance("a"))
			}
			a, err := AudienceOf(t.Context(), w.topic, message())
			if err != nil {
				t.Fatal(err)
			}
			if uncertain := a.Uncertain != nil && strings.Contains(a.Uncertain.Error(), "the agent is away"); uncertain != outage {
				t.Errorf("outage: %v, and uncertain is %v", outage, a.Uncertain)
			}
		}
		w.registry.list()
		if _, err := AudienceOf(t.Context(), w.topic, message()); err != nil {
			t.Error(err)
		}
		away()
		_, err := AudienceOf(t.Context(), w.topic, message())
		expectError(t, err, rpc.Unreachable, "no server is known", "the agent is away")
	})
}

// TestOutageKeepsThoseThatAreConnected checks that connected instances stay during an outage of the
// registry, however long it lasts, even if the registry said before that they are gone.
func TestOutageKeepsThoseThatAreConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"))
		if _, err := w.deliver(t, time.Minute, message(), &script{}); err != nil {
			t.Fatal(err)
		}
		w.registry.list() // their heartbeats did not arrive
		w.registry.tell(registry.Update{Err: errors.New("the agent is away")})
		for range 60 {
			time.Sleep(time.Minute)
			for _, m := range []*Message{message(), message(to("host-a"))} {
				if took, err := w.deliver(t, time.Minute, m, &script{}); err != nil || took != 0 {
					t.Fatalf("after %v: %v", took, err)
				}
			}
			results, err := w.everybody(t.Context(), message(), (&script{}).send)
			if err != nil || len(results) != 1 || !results[0].Entry.Unlisted {
				t.Fatalf("%v, %v", results, err)
			}
		}
		w.registry.list() // it is back, and they are not yet
		time.Sleep(29 * time.Second)
		if _, err := w.deliver(t, time.Second, message(), &script{}); err != nil {
			t.Errorf("while they may come back: %v", err)
		}
		time.Sleep(2 * time.Second)
		_, err := w.deliver(t, time.Second, message(), &script{})
		expectError(t, err, rpc.NoInstance)
	})
}
