package delivery

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A fanout waits a moment for an instance whose gateway is lost, until another gateway has the
// instance.
func TestFanoutThroughTheNextGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, early := range []bool{false, true} { // the gateway is lost before the fanout, or refuses its copy
			w := newWorld(t, instance("7.1", at("gw1")))
			kill := w.process("gw1")
			defer w.process("gw2")()
			if got, _, _ := w.fanout(t, time.Minute, invoke); !slices.Equal(got, []string{"7.1 accepted"}) {
				t.Fatal(got)
			}
			send := (&script{}).says("7.1", stopping, nil).send
			if early {
				send = invoke
			}
			kill()
			synctest.Wait() // it is noticed: what is sent was not lost
			time.AfterFunc(settleTime/2, func() { w.registry.list(instance("7.1", at("gw2"))) })
			got, results, _ := w.fanout(t, time.Minute, send)
			if !slices.Equal(got, []string{"7.1 accepted"}) || results[0].Entry.Addr != "gw2" {
				t.Errorf("lost early: %t: %v, at %s", early, got, results[0].Entry.Addr)
			}
		}
	})
}

// If an instance is not reached through another gateway soon, it has failed. An instance without a
// gateway has failed at once, since its process is dead.
func TestFanoutToWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("7.1", at("nowhere")), instance("boot-dead.1", at("dead")))
		got, _, took := w.fanout(t, time.Minute, invoke)
		if want := []string{"7.1 failed", "boot-dead.1 failed"}; !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		about(t, took, settleTime, settleTime+2*patience)
		w = newWorld(t, instance("boot-dead.1", at("dead")))
		_, _, took = w.fanout(t, time.Minute, invoke)
		about(t, took, 0, 2*patience)
	})
}
