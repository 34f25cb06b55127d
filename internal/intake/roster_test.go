package intake

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// processOf returns servers and an intake with these servers. Nothing is sent.
func processOf(t *testing.T, topics map[string][]string) (*Intake, map[string]*Server) {
	t.Helper()
	all := map[string]*Server{}
	var list []*Server
	for topic, names := range topics {
		for _, name := range names {
			all[name] = newServer(t, topic, name, nil)
			list = append(list, all[name])
		}
	}
	return newIntake(nil, list...), all
}

// found sends n messages and returns how many each server got.
func found(t *testing.T, in *Intake, target rpc.Target, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		s, err := in.find(to(target, ""))
		if err != nil {
			t.Fatal(err)
		}
		got[s.Instance.Server]++
	}
	return got
}

func TestServersOfAProcessTakeTurns(t *testing.T) {
	t.Parallel()
	in, _ := processOf(t, map[string][]string{"q": {"a", "b", "c"}, "r": {"d", "e"}, "s": {"f"}})
	for range 30 { // by turns: one topic must not take the turns of another
		found(t, in, rpc.Target{Topic: "r"}, 1)
		found(t, in, rpc.Target{Topic: "s"}, 1)
	}
	got := map[string]int{}
	for range 30 {
		for topic, n := range map[string]int{"q": 3, "r": 2, "s": 1} {
			for name, times := range found(t, in, rpc.Target{Topic: topic}, n) {
				got[name] += times
			}
		}
	}
	if want := fmt.Sprint(map[string]int{"a": 30, "b": 30, "c": 30, "d": 30, "e": 30, "f": 30}); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestServersOfOneNameTakeTurns(t *testing.T) {
	t.Parallel()
	in, servers := processOf(t, map[string][]string{"q": {"a", "b"}})
	twin := *servers["a"]
	twin.Instance.ID = "twin"
	in.SetServers([]*Server{servers["a"], servers["b"], &twin})
	got := map[string]int{}
	for range 10 {
		s, err := in.find(to(rpc.Target{Topic: "q", Server: "a"}, ""))
		if err != nil {
			t.Fatal(err)
		}
		got[s.Instance.ID]++
	}
	if got["b1.a"] != 5 || got["twin"] != 5 {
		t.Errorf("got %v", got)
	}
	if s, err := in.find(to(rpc.Target{Topic: "q"}, "twin")); err != nil || s != &twin {
		t.Errorf("by its id: %v, %v", s, err)
	}
}

func TestServersThatDoNotWantAnyAreAvoided(t *testing.T) {
	t.Parallel()
	for name, enter := range map[string]func(*phase.Machine){
		"stopping": func(m *phase.Machine) { m.Leave() },
		"held":     func(m *phase.Machine) { m.Open(true) },
		"draining": (*phase.Machine).Drain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, servers := processOf(t, map[string][]string{"q": {"a", "b"}})
			changed, m := *servers["a"], phase.NewMachine()
			enter(m)
			m.Open(false)
			changed.Dispatch = dispatch.New(dispatch.Config{Name: "a", Table: changed.Dispatch.Table(), Limits: dispatch.DefaultLimits, Phase: m, Log: slog.New(slog.DiscardHandler)})
			in.SetServers([]*Server{&changed, servers["b"]})
			if got := found(t, in, rpc.Target{Topic: "q"}, 4); got["b"] != 4 {
				t.Errorf("any: got %v", got)
			}
			if got := found(t, in, rpc.Target{Topic: "q", Server: "a"}, 4); got["a"] != 4 {
				t.Errorf("by name: got %v", got)
			}
			if s, err := in.find(to(rpc.Target{Topic: "q"}, "b1.a")); err != nil || s != &changed {
				t.Errorf("by id: got %v, %v", s, err)
			}
			in.SetServers([]*Server{&changed})
			if got := found(t, in, rpc.Target{Topic: "q"}, 4); got["a"] != 4 {
				t.Errorf("alone: got %v", got)
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	servers := make([]*Server, 15)
	for i := range servers {
		servers[i] = newServer(b, fmt.Sprint("topic ", i), "net1", nil)
	}
	in := newIntake(nil, servers...)
	m := to(rpc.Target{Topic: "topic 14"}, "b1.net1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.find(m); err != nil {
			b.Fatal(err)
		}
	}
}
