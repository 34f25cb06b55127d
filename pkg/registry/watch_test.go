package registry

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

var errDown = errors.New("the registry is down")

// update returns an update with an instance for each letter.
func update(ids string) Update {
	var u Update
	for id := range strings.SplitSeq(ids, "") {
		u.Instances = append(u.Instances, rpc.Instance{ID: id})
	}
	return u
}

func reset(ids string) Update {
	u := update(ids)
	u.Reset = true
	return u
}

// show returns an update as the letters of its instances, with ! for a reset, or returns the error.
func show(u Update) string {
	if u.Err != nil {
		return u.Err.Error()
	}
	var text string
	for _, i := range u.Instances {
		text += i.ID
	}
	if u.Reset {
		text += "!"
	}
	return text
}

func TestUpdates(t *testing.T) {
	down := Update{Err: errDown}
	for _, test := range []struct {
		name string
		sent []Update
		want []string
	}{
		{"the first, though empty", []Update{{}}, []string{""}},
		{"each change", []Update{update("a"), update("ab"), update("b"), {}}, []string{"a", "ab", "b", ""}},
		{"only changes, in whatever order", []Update{update("ab"), update("ab"), update("ba")}, []string{"ab"}},
		{"errors, once", []Update{down, down, update("a"), down, down}, []string{errDown.Error(), "a", errDown.Error()}},
		{"the list after an error, though the same", []Update{update("a"), down, update("a")}, []string{"a", errDown.Error(), "a"}},
		{"resets", []Update{update("ab"), reset("a"), update("ab")}, []string{"ab", "a!", "ab"}},
		{"no reset before the first list", []Update{reset("a")}, []string{"a"}},
		{"no reset that changes nothing", []Update{update("a"), reset("a")}, []string{"a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				w := StartWatch(func(u Update) { got = append(got, show(u)) })
				for _, u := range test.sent {
					w.Send(u)
					synctest.Wait()
				}
				w.Stop()
				if strings.Join(got, ", ") != strings.Join(test.want, ", ") {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		release := make(chan struct{})
		w := StartWatch(func(u Update) {
			got = append(got, show(u))
			<-release
		})
		defer w.Stop()
		w.Send(update("a"))
		synctest.Wait()
		for _, u := range []Update{update("ab"), reset(""), update("c")} {
			w.Send(u)
		}
		close(release)
		synctest.Wait()
		if want := "a, c!"; strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %s: the last list, and that something was lost before it", got, want)
		}
	})
}

// If lists are made when they are delivered, lists that were replaced before are never made.
func TestChangedMakesTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		made := 0
		release := make(chan struct{})
		w := StartWatch(func(u Update) {
			got = append(got, show(u))
			<-release
		})
		defer w.Stop()
		list := func(ids string) func() []rpc.Instance {
			return func() []rpc.Instance {
				made++
				return update(ids).Instances
			}
		}
		w.Changed(list("a"))
		synctest.Wait()
		w.Send(reset("ab"))
		w.Changed(list("abc"))
		w.Changed(list("abcd"))
		close(release)
		synctest.Wait()
		if want := "a, abcd!"; strings.Join(got, ", ") != want || made != 2 {
			t.Errorf("got %q of %d lists that were made, want %s of 2", got, made, want)
		}
	})
}

// A large fleet that changes all the time is processed with pauses. A stop does not wait for a
// pause.
func TestPauseAfterALongList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		w := StartWatch(func(Update) { at = append(at, time.Now()) })
		for _, n := range []int{longList - 1, longList, longList + 1, longList + 2} {
			w.Send(update(strings.Repeat("a", n)))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(at) != 3 || at[1] != at[0] || at[2].Sub(at[1]) != longList*pauseEach {
			t.Errorf("updates came at %v, want two at once and then one after %v", at, longList*pauseEach)
		}
		w.Send(update(strings.Repeat("a", longList)))
		synctest.Wait()
		begin := time.Now()
		w.Stop()
		if took := time.Since(begin); took > 0 {
			t.Errorf("Stop took %v", took)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls int
		w := StartWatch(func(Update) {
			calls++
			<-release
		})
		w.Send(update("a"))
		synctest.Wait()
		w.Send(update("b"))
		var stopped bool
		go func() {
			w.Stop()
			stopped = true
		}()
		synctest.Wait()
		if stopped {
			t.Error("Stop returned while notify was running")
		}
		close(release)
		synctest.Wait()
		w.Send(update("c"))
		w.Stop()
		if !stopped || calls != 1 {
			t.Errorf("stopped is %v after %d calls, want true after one", stopped, calls)
		}
	})
}
