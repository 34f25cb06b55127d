package main

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiting waits until the given number of users work on an instance or wait for it.
func waiting(t *testing.T, g *guests, uuid string, users int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		g.mu.Lock()
		turn := g.busy[uuid]
		there := turn != nil && turn.users == users
		g.mu.Unlock()
		if there {
			return
		}
	}
	t.Fatalf("there are never %d who want a turn with %s", users, uuid)
}

// While one task works on an instance, other tasks for this instance wait. Tasks for other
// instances do not.
func TestAlone(t *testing.T) {
	g := newGuests()
	done := g.alone("1")
	var turn atomic.Bool
	var other sync.WaitGroup
	other.Go(func() {
		defer g.alone("1")()
		turn.Store(true)
	})
	waiting(t, g, "1", 2)
	g.alone("2")() // does not wait
	if turn.Load() {
		t.Error("two are at an instance")
	}
	done()
	other.Wait()
	if !turn.Load() || len(g.busy) > 0 {
		t.Errorf("in the end, the other's turn was %t, and busy are %+v", turn.Load(), g.busy)
	}
}

// Only one task works on an instance at a time, however many want to.
func TestAloneAmongMany(t *testing.T) {
	g := newGuests()
	var at [4]struct {
		now  atomic.Int32
		runs int // the race detector sees who is not alone
	}
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			i := &at[n%len(at)]
			defer g.alone(strconv.Itoa(n % len(at)))()
			if now := i.now.Add(1); now != 1 {
				t.Errorf("%d are at an instance", now)
			}
			runtime.Gosched()
			i.runs++
			i.now.Add(-1)
		})
	}
	all.Wait()
	for n := range at {
		if at[n].runs != 50 {
			t.Errorf("%d were at instance %d", at[n].runs, n)
		}
	}
	if len(g.busy) > 0 {
		t.Errorf("in the end, busy are %+v", g.busy)
	}
}

func TestGuests(t *testing.T) {
	g := newGuests()
	g.run("2", "a")
	g.run("1")
	g.run("2", "b", "c")
	if got := g.uuids(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("there are %q", got)
	}
	if lines, ok := g.console("2"); !ok || !slices.Equal(lines, []string{"a", "b", "c"}) {
		t.Errorf("2 says %q, %t", lines, ok)
	}
	g.remove("2")
	g.remove("2")
	if g.runs("2") || !g.runs("1") {
		t.Error("2 is not removed, or another is")
	}
	if lines, ok := g.console("2"); ok {
		t.Errorf("removed, 2 says %q", lines)
	}
}

// A wait for all tasks lasts until the last task ends or the context ends.
func TestArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &arrivals{uuids: map[string]bool{}, changed: make(chan struct{})}
		a.wait(t.Context()) // for nothing
		for _, uuid := range []string{"1", "2", "2"} {
			a.set(uuid, true)
		}
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			a.wait(t.Context())
		}()
		for _, uuid := range []string{"none", "2", "2"} {
			a.set(uuid, false)
			synctest.Wait()
			select {
			case <-waited:
				t.Errorf("after %s, it does not wait for 1", uuid)
			default:
			}
		}
		a.set("1", false)
		<-waited

		a.set("3", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		a.wait(ctx)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it waits for %v", took)
		}
	})
}
