package service

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestTargetsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": echo()}))
	for _, test := range []struct {
		name    string
		target  *pb.Target
		method  string
		message string
	}{
		{"no target", nil, "foo", "topic is required"},
		{"no topic", &pb.Target{Server: new("net1")}, "foo", "topic is required"},
		{"no method", to("q"), "", "`method` is required"},
		{"empty exchange", &pb.Target{Topic: new("q"), Exchange: new("")}, "foo", "`target.exchange` is present and empty: leave it out"},
		{"empty topic", &pb.Target{Topic: new("")}, "foo", "`target.topic` is present and empty"},
		{"empty namespace", &pb.Target{Topic: new("q"), Namespace: new("")}, "foo", "`target.namespace` is present and empty"},
		{"empty version", &pb.Target{Topic: new("q"), Version: new("")}, "foo", "`target.version` is present and empty"},
		{"empty server", &pb.Target{Topic: new("q"), Server: new("")}, "foo", "`target.server` is present and empty"},
		{"fanout", &pb.Target{Topic: new("q"), Fanout: new(true)}, "foo", "`target.fanout` out"},
		{"malformed version", &pb.Target{Topic: new("q"), Version: new("1")}, "foo", "major.minor"},
		{"huge version", &pb.Target{Topic: new("q"), Version: new(strings.Repeat("1", 5000))}, "foo", "malformed"},
		{"control characters", &pb.Target{Topic: new("q\n")}, "foo", "control characters"},
		{"control characters in the method", &pb.Target{Topic: new("q")}, "foo\n", `the method name "foo\n" has control characters`},
		{"too long", &pb.Target{Topic: new(strings.Repeat("q", 256))}, "foo", "longer than 255 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: test.target, Method: test.method}}) {
				t.Run(form, func(t *testing.T) {
					e := check(t, err, rpc.InvalidTarget, true, test.message)
					if e.Method != test.method {
						t.Errorf("the method is %q", e.Method)
					}
				})
			}
		})
	}
}

func TestTargetsThatAreServed(t *testing.T) {
	t.Parallel()
	f := serve(t, newServerOf(t, "q", "net1", dispatch.DefaultLimits, dispatch.Endpoint{
		Namespaces: []string{"", "n"}, Version: rpc.Version{Major: 1, Minor: 3}, Methods: methods{"foo": echo()},
	}))
	for _, target := range []*pb.Target{
		to("q"),
		{Topic: new("q"), Fanout: new(false)},
		{Topic: new("q"), Exchange: new(rpc.DefaultExchange), Server: new("net1")},
		{Topic: new("q"), Namespace: new("n"), Version: new("1.2")},
	} {
		for _, id := range []string{"", "b1.net1"} {
			for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: target, Method: "foo", InstanceId: id}}) {
				t.Run(form, func(t *testing.T) {
					if err != nil {
						t.Errorf("%v: %v", target, err)
					}
				})
			}
		}
	}
}

func TestMisdirectedMessages(t *testing.T) {
	t.Parallel()
	other := newServer(t, "other", "net3", methods{"foo": echo()})
	elsewhere := newServer(t, "q", "net4", methods{"foo": echo()})
	elsewhere.Instance.Exchange = "elsewhere"
	f := serve(t, newServer(t, "q", "net1", methods{"foo": echo()}), newServer(t, "q", "net2", methods{"foo": echo()}), other, elsewhere)
	for _, test := range []struct {
		name   string
		target *pb.Target
		id     string
	}{
		{"topic", to("p"), ""},
		{"exchange", &pb.Target{Topic: new("q"), Exchange: new("x")}, ""},
		{"server", &pb.Target{Topic: new("q"), Server: new("net9")}, ""},
		{"server of another topic", &pb.Target{Topic: new("q"), Server: new("net3")}, ""},
		{"server of another exchange", &pb.Target{Topic: new("q"), Server: new("net4")}, ""},
		{"topic of another exchange", &pb.Target{Topic: new("other"), Exchange: new("elsewhere")}, ""},
		{"instance of another run", to("q"), "b0.net1"},
		{"instance on another topic", to("q"), "b1.net3"},
		{"instance of another server", &pb.Target{Topic: new("q"), Server: new("net1")}, "b1.net2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: test.target, Method: "foo", InstanceId: test.id}}) {
				t.Run(form, func(t *testing.T) {
					e := check(t, err, rpc.Refused, true, "no server of this process is meant")
					if !errors.Is(e, refusal.Misdirected) || !refusal.Gone(e) || e.Server != "" {
						t.Errorf("got %+v", e)
					}
				})
			}
		})
	}
	f.process.SetServers(nil)
	for id, want := range map[string]refusal.Reason{"": refusal.Misdirected, "b0.net1": refusal.Misdirected, "b1.net1": refusal.Stopping, "b1": refusal.Misdirected} {
		_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", InstanceId: id}})
		if e := check(t, err, rpc.Refused, true); !errors.Is(e, want) {
			t.Errorf("instance %q, after the servers have stopped: %v, want %v", id, e, want)
		}
	}
}

func TestMessagesThatNoEndpointServes(t *testing.T) {
	t.Parallel()
	f := serve(t, newServerOf(t, "q", "net1", dispatch.DefaultLimits,
		dispatch.Endpoint{Namespaces: []string{"", "n"}, Version: rpc.Version{Major: 1, Minor: 3}, Methods: methods{"foo": echo()}},
		dispatch.Endpoint{Namespaces: []string{"n"}, Version: rpc.Version{Major: 2}, Methods: methods{"foo": echo()}},
	))
	for _, test := range []struct {
		target *pb.Target
		method string
		kind   rpc.Kind
	}{
		{&pb.Target{Topic: new("q"), Version: new("1.4")}, "foo", rpc.UnsupportedVersion},
		{&pb.Target{Topic: new("q"), Namespace: new("m")}, "foo", rpc.UnsupportedVersion},
		{&pb.Target{Topic: new("q"), Namespace: new("n"), Version: new("2.0")}, "bar", rpc.NoSuchMethod},
	} {
		for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: test.target, Method: test.method}}) {
			t.Run(form, func(t *testing.T) {
				e := check(t, err, test.kind, true)
				if e.Server != "net1" || e.InstanceID != "b1.net1" || e.Method != test.method {
					t.Errorf("it is signed %+v", e)
				}
				d := detailOf(t, err)
				if d.Version == nil != (test.target.Version == nil) || d.GetVersion() != test.target.GetVersion() {
					t.Errorf("the version is %v, want %v", d.Version, test.target.Version)
				}
				want := ""
				if test.kind == rpc.UnsupportedVersion {
					want = "1.3 n=1.3 n=2.0 "
				}
				got := ""
				for _, i := range d.GetImplemented() {
					if i.Namespace != nil {
						got += i.GetNamespace() + "="
					}
					got += i.GetVersion() + " "
				}
				if got != want {
					t.Errorf("implemented is %q, want %q", got, want)
				}
			})
		}
	}
}

// named returns servers, and a process that has them; nothing is sent.
func named(t *testing.T, topics map[string][]string) (*Process, map[string]*Server) {
	t.Helper()
	all := map[string]*Server{}
	var list []*Server
	for topic, names := range topics {
		for _, name := range names {
			all[name] = newServer(t, topic, name, nil)
			list = append(list, all[name])
		}
	}
	process := New(Config{Exchange: rpc.DefaultExchange, MaxSize: maxSize})
	process.SetServers(list)
	return process, all
}

// found sends n messages and returns how many each server got.
func found(t *testing.T, process *Process, target rpc.Target, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		s, err := process.find(target, "")
		if err != nil {
			t.Fatal(err)
		}
		got[s.Instance.Server]++
	}
	return got
}

func TestServersOfAProcessTakeTurns(t *testing.T) {
	t.Parallel()
	process, _ := named(t, map[string][]string{"q": {"a", "b", "c"}, "r": {"d", "e"}, "s": {"f"}})
	for range 30 { // by turns: one topic must not take the turns of another
		found(t, process, rpc.Target{Topic: "r"}, 1)
		found(t, process, rpc.Target{Topic: "s"}, 1)
	}
	got := map[string]int{}
	for range 30 {
		for topic, n := range map[string]int{"q": 3, "r": 2, "s": 1} {
			for name, times := range found(t, process, rpc.Target{Topic: topic}, n) {
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
	process, servers := named(t, map[string][]string{"q": {"a", "b"}})
	twin := *servers["a"]
	twin.Instance.ID = "twin"
	process.SetServers([]*Server{servers["a"], servers["b"], &twin})
	got := map[string]int{}
	for range 10 {
		s, err := process.find(rpc.Target{Topic: "q", Server: "a"}, "")
		if err != nil {
			t.Fatal(err)
		}
		got[s.Instance.ID]++
	}
	if got["b1.a"] != 5 || got["twin"] != 5 {
		t.Errorf("got %v", got)
	}
	if s, err := process.find(rpc.Target{Topic: "q"}, "twin"); err != nil || s != &twin {
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
			process, servers := named(t, map[string][]string{"q": {"a", "b"}})
			changed, m := *servers["a"], phase.NewMachine()
			enter(m)
			m.Open(false)
			changed.Dispatch = dispatch.New(dispatch.Config{Name: "a", Table: changed.Dispatch.Table(), Limits: dispatch.DefaultLimits, Phase: m, Log: slog.New(slog.DiscardHandler)})
			process.SetServers([]*Server{&changed, servers["b"]})
			if got := found(t, process, rpc.Target{Topic: "q"}, 4); got["b"] != 4 {
				t.Errorf("any: got %v", got)
			}
			if got := found(t, process, rpc.Target{Topic: "q", Server: "a"}, 4); got["a"] != 4 {
				t.Errorf("by name: got %v", got)
			}
			if s, err := process.find(rpc.Target{Topic: "q"}, "b1.a"); err != nil || s != &changed {
				t.Errorf("by id: got %v, %v", s, err)
			}
			process.SetServers([]*Server{&changed})
			if got := found(t, process, rpc.Target{Topic: "q"}, 4); got["a"] != 4 {
				t.Errorf("alone: got %v", got)
			}
		})
	}
}
