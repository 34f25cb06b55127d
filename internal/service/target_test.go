package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
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
					e := check(t, err, rpc.Refused, true, "no server of this process matches the target")
					if !errors.Is(e, refusal.Misdirected) || !refusal.Gone(e) || e.Server != "" {
						t.Errorf("got %+v", e)
					}
				})
			}
		})
	}
	f.intake.SetServers(nil)
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
