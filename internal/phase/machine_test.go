package phase

import (
	"slices"
	"sync"
	"testing"
)

func TestTransitions(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*Machine){
		"open": func(m *Machine) { m.Open(false) }, "open held": func(m *Machine) { m.Open(true) },
		"release": (*Machine).Release, "stall": (*Machine).Stall, "drain": (*Machine).Drain, "resume": (*Machine).Resume,
		"leave": func(m *Machine) { m.Leave() }, "refuse": func(m *Machine) { m.Refuse() }, "end": func(m *Machine) { m.End() },
	}
	for name, test := range map[string]struct {
		steps []string
		want  []Phase // after each step
		holds bool    // at the end
	}{
		"an ordinary life": {
			[]string{"open", "leave", "refuse", "end"}, []Phase{Active, Leaving, Stopping, Stopped}, false,
		},
		"held and released": {
			[]string{"open held", "release", "release"}, []Phase{Held, Active, Active}, false,
		},
		"held": {[]string{"open held"}, []Phase{Held}, true},
		"drained while held, released first": {
			[]string{"open held", "drain", "release", "resume"}, []Phase{Held, Draining, Draining, Active}, false,
		},
		"drained while held, resumed first": {
			[]string{"open held", "drain", "resume"}, []Phase{Held, Draining, Held}, true,
		},
		"drained and held": {[]string{"open held", "drain"}, []Phase{Held, Draining}, true},
		"left while held":  {[]string{"open held", "leave"}, []Phase{Held, Leaving}, true},
		"released while it leaves": {
			[]string{"open held", "leave", "release", "drain"}, []Phase{Held, Leaving, Leaving, Leaving}, false,
		},
		"stopped while held":         {[]string{"open held", "refuse"}, []Phase{Held, Stopping}, false},
		"stalled":                    {[]string{"open", "stall"}, []Phase{Active, Active}, true},
		"stalled and released":       {[]string{"open", "stall", "release"}, []Phase{Active, Active, Active}, false},
		"nothing reopens it":         {[]string{"open", "end", "open", "leave", "refuse"}, []Phase{Active, Stopped, Stopped, Stopped, Stopped}, false},
		"a start that failed":        {[]string{"refuse", "open held", "end"}, []Phase{Stopping, Stopping, Stopped}, false},
		"a hold comes with a start":  {[]string{"open", "open held"}, []Phase{Active, Active}, false},
		"a stop that began in drain": {[]string{"open", "drain", "leave"}, []Phase{Active, Draining, Leaving}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := NewMachine()
			var got []Phase
			for _, step := range test.steps {
				steps[step](m)
				got = append(got, m.Phase())
			}
			if !slices.Equal(got, test.want) || m.Holds() != test.holds {
				t.Errorf("after %q: %v and holds %v, want %v and %v", test.steps, got, m.Holds(), test.want, test.holds)
			}
		})
	}
}

func TestWhatFollowsFromAPhase(t *testing.T) {
	t.Parallel()
	for p, want := range map[Phase]string{
		New: "", Held: "announced ", Active: "announced takes-any ", Draining: "announced ",
		Leaving: "ending ", Stopping: "ending refuses ", Stopped: "ending refuses ",
	} {
		got := ""
		for _, property := range []struct {
			name string
			has  bool
		}{{"announced ", p.IsAnnounced()}, {"takes-any ", p.TakesAny()}, {"ending ", p.IsEnding()}, {"refuses ", p.Refuses()}} {
			if property.has {
				got += property.name
			}
		}
		if got != want {
			t.Errorf("%v: %q, want %q", p, got, want)
		}
	}
}

func TestChannelsCloseOnce(t *testing.T) {
	t.Parallel()
	m := Opened()
	open := func() (list []bool) {
		for _, c := range []<-chan struct{}{m.Serving().Done(), m.Refusing(), m.Stopped()} {
			select {
			case <-c:
				list = append(list, false)
			default:
				list = append(list, true)
			}
		}
		return list
	}
	for _, step := range []struct {
		do   func() bool
		open []bool
	}{{m.Leave, []bool{false, true, true}}, {m.Refuse, []bool{false, false, true}}, {m.End, []bool{false, false, false}}} {
		var all sync.WaitGroup
		var mu sync.Mutex
		news := 0
		for range 8 {
			all.Go(func() {
				if step.do() {
					mu.Lock()
					defer mu.Unlock()
					news++
				}
			})
		}
		all.Wait()
		if got := open(); news != 1 || !slices.Equal(got, step.open) {
			t.Errorf("%v: news %d times, and open are %v, want %v", m.Phase(), news, got, step.open)
		}
	}
}
