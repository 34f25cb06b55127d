package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// filled returns a window that has just seen n messages, "0" to n-1.
func filled(n int) *window {
	w := newWindow()
	for i := range n {
		w.add(fmt.Sprint(i), time.Now())
	}
	return w
}

// known returns how many IDs a window knows.
func (w *window) known() (n int) {
	for _, l := range w.newest {
		for ; l != 0; l = w.ring[l-1].older {
			n++
		}
	}
	return n
}

func checkAdd(t *testing.T, w *window, id string, want bool) {
	t.Helper()
	if got := w.add(id, time.Now()); got != want {
		t.Errorf("%q is new: got %v, want %v", id, got, want)
	}
	if w.count > windowSize {
		t.Errorf("the window holds %d", w.count)
	}
}

func TestWindowKnowsRepeats(t *testing.T) {
	t.Parallel()
	w := newWindow()
	checkAdd(t, w, "a", true)
	checkAdd(t, w, "a", false)
	checkAdd(t, w, "b", true)
	checkAdd(t, w, "a", false)
	checkAdd(t, w, "b", false)
	checkAdd(t, w, "A", true)
}

func TestWindowTakesMessagesWithoutIDAsNew(t *testing.T) {
	t.Parallel()
	w := newWindow()
	for range 3 {
		checkAdd(t, w, "", true)
		w.forget("")
	}
	if w.count != 0 {
		t.Errorf("%d are remembered", w.count)
	}
}

func TestWindowForgets(t *testing.T) {
	t.Parallel()
	w := newWindow()
	w.forget("never seen")
	checkAdd(t, w, "a", true)
	w.forget("a")
	checkAdd(t, w, "a", true)
	checkAdd(t, w, "a", false)
	checkAdd(t, w, "b", true)
	w.forget("a") // not the last
	checkAdd(t, w, "b", false)
	checkAdd(t, w, "a", true)
	checkAdd(t, w, "a", false)
	w.forget("a")
	w.forget("a")
	w.forget("never seen")
	checkAdd(t, w, "a", true)
	checkAdd(t, w, "b", false)
}

func TestWindowEndsByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWindow()
		checkAdd(t, w, "a", true)
		time.Sleep(windowTime / 2)
		checkAdd(t, w, "b", true)
		checkAdd(t, w, "a", false) // does not prolong it
		time.Sleep(windowTime / 2)
		checkAdd(t, w, "a", false) // the last moment
		time.Sleep(time.Nanosecond)
		checkAdd(t, w, "b", false)
		checkAdd(t, w, "a", true)
		time.Sleep(windowTime + 1)
		checkAdd(t, w, "c", true)
		if w.count != 1 || w.known() != 1 {
			t.Errorf("%d are held and %d known, want 1", w.count, w.known())
		}
	})
}

func TestWindowEndsByCount(t *testing.T) {
	t.Parallel()
	w := filled(windowSize)
	checkAdd(t, w, "0", false)
	checkAdd(t, w, "more", true) // drives out 0
	checkAdd(t, w, "1", false)
	checkAdd(t, w, "0", true) // drives out 1
	checkAdd(t, w, "2", false)
	checkAdd(t, w, "1", true)
	checkAdd(t, w, "more", false)
}

func TestWindowGoesRound(t *testing.T) {
	t.Parallel()
	w := filled(windowSize + 7)
	if w.count != windowSize || w.known() != windowSize {
		t.Fatalf("%d are held and %d known, want %d", w.count, w.known(), windowSize)
	}
	for i := 7; i < windowSize+7; i++ {
		checkAdd(t, w, fmt.Sprint(i), false)
	}
	checkAdd(t, w, "6", true)
}

func TestWindowKeepsWhatWasForgottenAndSeenAgain(t *testing.T) {
	t.Parallel()
	w := newWindow()
	checkAdd(t, w, "a", true)
	checkAdd(t, w, "b", true)
	w.forget("a")
	checkAdd(t, w, "a", true)
	for i := range windowSize - 1 { // drives out the first a, and b
		checkAdd(t, w, fmt.Sprint(i), true)
	}
	checkAdd(t, w, "a", false)
	checkAdd(t, w, "new", true)
	checkAdd(t, w, "a", true)
}

func TestWindowIsNotFilledByWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWindow()
	checkAdd(t, w, "accepted", true)
	for i := range windowSize + 1 {
		id := fmt.Sprint(i)
		checkAdd(t, w, id, true)
		w.forget(id)
	}
	checkAdd(t, w, "accepted", false)

	full := filled(windowSize)
	for i := range windowSize + 1 {
		id := fmt.Sprint("refused ", i)
		checkAdd(t, full, id, true)
		full.forget(id)
	}
	checkAdd(t, full, "1", false)
}

// FuzzWindow compares the window with a map, for IDs of one letter. A capital letter is added, and
// a small letter is forgotten.
func FuzzWindow(f *testing.F) {
	f.Add("ABAaABbA")
	f.Fuzz(func(t *testing.T, ops string) {
		w, seen := newWindow(), map[rune]bool{}
		for _, op := range ops[:min(len(ops), windowSize)] {
			id := op &^ 0x20
			if op != id {
				w.forget(string(id))
				delete(seen, id)
				continue
			}
			checkAdd(t, w, string(id), !seen[id])
			seen[id] = true
		}
	})
}
