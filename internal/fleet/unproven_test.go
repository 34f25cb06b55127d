package fleet

import (
	"testing"
	"testing/synctest"
	"time"
)

// An instance that did not prove its name is checked again until it does, and then counts at once.
func TestUnproven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.list(instance("a"), instance("b"))
		before := w.entry(t, "a")
		w.topic.Unproven(before)
		if !w.entry(t, "a").Unproven || w.entry(t, "b").Unproven || before.Unproven {
			t.Fatal("the mark is not where it belongs")
		}
		w.topic.Proved(w.entry(t, "b"))
		w.registry.list(instance("a"), instance("b"), instance("c"))
		time.Sleep(3 * doubtTime) // none answers
		synctest.Wait()
		if !w.entry(t, "a").Unproven {
			t.Error("the mark went by itself")
		}
		w.topic.Proved(w.entry(t, "a"))
		if w.entry(t, "a").Unproven {
			t.Error("the mark stays though a message arrived")
		}
	})
}
