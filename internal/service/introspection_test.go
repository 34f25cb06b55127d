package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

func TestPing(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", nil), newServer(t, "r", "net2", nil))
	for id, here := range map[string]bool{"": true, "b1.net1": true, "b1.net2": true, "b0.net1": false, "net1": false} {
		_, err := f.Ping(t.Context(), &pb.PingRequest{InstanceId: id})
		switch {
		case here && err != nil:
			t.Errorf("%q: %v", id, err)
		case !here:
			if e := check(t, err, rpc.Refused, true); !errors.Is(e, refusal.Misdirected) {
				t.Errorf("%q: got %v", id, e)
			}
		}
	}
}

// A full server still answers introspection requests.
func TestIntrospectionDoesNotWaitForAWorker(t *testing.T) {
	t.Parallel()
	g := newGate()
	f := serve(t, newServerOf(t, "q", "net1", dispatch.Limits{Workers: 1, Queue: 1, QueueBytes: 100}, dispatch.Endpoint{
		Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"foo": g.method()},
	}))
	for _, want := range []bool{true, true, false} {
		if _, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}}); (err == nil) != want {
			t.Fatal(err)
		}
	}
	<-g.entered
	if _, err := f.Ping(t.Context(), &pb.PingRequest{}); err != nil {
		t.Error(err)
	}
	info, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s := info.GetServers()[0]; s.GetRunning() != 1 || s.GetQueued() != 1 || s.GetRefused() != 1 {
		t.Errorf("got %v", s)
	}
	close(g.open)
}

func TestInfoDescribesTheServers(t *testing.T) {
	t.Parallel()
	described := &dispatch.Method{
		Bind: echo().Bind, Streaming: true, Extra: true, Result: "string",
		Arguments: []payload.Argument{{Name: "b", Type: "integer"}, {Name: "a", Type: "array of string", Optional: true}},
	}
	broken := function(func(context.Context, payload.Raw) (any, error) { return nil, errors.New("broken") })
	f := serve(t, newServerOf(t, "q", "net1", dispatch.DefaultLimits,
		dispatch.Endpoint{Namespaces: []string{"n", ""}, Version: rpc.Version{Major: 1, Minor: 2}, Methods: methods{"stop": described, "fail": broken}},
		dispatch.Endpoint{Namespaces: []string{""}, Version: rpc.Version{Major: 2}, Methods: methods{}, Fallback: described},
	), newServer(t, "r", "net2", nil))
	if _, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "stop"}}); err != nil {
		t.Error(err)
	}
	if _, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "fail"}}); err == nil {
		t.Error("want an error")
	}
	for _, method := range []string{"any", "other"} {
		if _, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: &pb.Target{Topic: new("q"), Version: new("2.0")}, Method: method}}); err != nil {
			t.Error(err)
		}
	}
	info, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{Topic: new("q")})
	if err != nil {
		t.Fatal(err)
	}
	if info.GetBootId() != "b1" || info.GetProcessId() != int64(os.Getpid()) || info.GetBuild() == "" || info.GetUptime().AsDuration() <= 0 {
		t.Errorf("got %v", info)
	}
	want := &pb.ServerInfo{}
	if err := protojson.Unmarshal([]byte(`{
		"instanceId": "b1.net1", "exchange": "openstack", "topic": "q", "server": "net1", "state": "STATE_ACTIVE",
		"endpoints": [
			{"namespaces": ["n", ""], "version": "1.2", "methods": [
				{"name": "fail", "started": 1, "failed": 1},
				{"name": "stop", "streaming": true, "extraArguments": true, "result": "string", "started": 1, "arguments": [
					{"name": "b", "type": "integer"}, {"name": "a", "type": "array of string", "optional": true}]}]},
			{"namespaces": [""], "version": "2.0", "fallback":
				{"streaming": true, "extraArguments": true, "result": "string", "started": 2, "arguments": [
					{"name": "b", "type": "integer"}, {"name": "a", "type": "array of string", "optional": true}]}}]}`), want); err != nil {
		t.Fatal(err)
	}
	if len(info.GetServers()) != 1 || !proto.Equal(info.GetServers()[0], want) {
		t.Errorf("got %v, want %v", info.GetServers(), want)
	}
}

func TestInfoIsOfTheTopicAskedFor(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", nil), newServer(t, "r", "net2", nil), newServer(t, "q", "net3", nil))
	for _, test := range []struct {
		topic *string
		want  string
	}{{nil, "net1 net2 net3 "}, {new("q"), "net1 net3 "}, {new("r"), "net2 "}, {new("x"), ""}, {new(""), ""}} {
		info, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{Topic: test.topic})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range info.GetServers() {
			got += s.GetServer() + " "
		}
		if got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// The information about a process includes what its policy did and what its limits refused.
func TestInfoTellsThePolicyAndTheLimits(t *testing.T) {
	t.Parallel()
	g, err := gate.New(&trust.Policy{DryRun: true, Rules: []trust.Rule{{Name: "all", From: []string{"anyone"}}}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := New(intake.New(intake.Config{
		BootID: "b1", Exchange: rpc.DefaultExchange, MaxSize: 1 << 20, Log: slog.New(slog.DiscardHandler), Gate: g,
		Refusals: func() map[limits.Reason]int64 { return map[limits.Reason]int64{limits.Streams: 2, limits.Depth: 1} },
	}))
	for range 2 {
		if _, err := s.Ping(t.Context(), &pb.PingRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.intake.Use(t.Context(), "grpc.health.v1.Health/Check", nil, ""); err != nil {
		t.Fatal(err)
	}
	info, err := s.GetInfo(t.Context(), &pb.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	p := info.GetPolicy()
	if p.GetSince().AsTime().IsZero() || time.Since(p.GetSince().AsTime()) > time.Hour {
		t.Errorf("in force since %v", p.GetSince())
	}
	p.Since = nil
	if want := (&pb.PolicyInfo{DryRun: true, WouldDeny: 1, Rules: []*pb.RuleInfo{{Name: "all", Allowed: 3}}}); !proto.Equal(p, want) {
		t.Errorf("got %v, want %v", p, want)
	}
	if l := info.GetLimits(); len(l) != 2 || l[0].GetReason() != string(limits.Depth) || l[0].GetRefused() != 1 || l[1].GetRefused() != 2 {
		t.Errorf("got %v", l)
	}
}

func TestInfoTellsTheState(t *testing.T) {
	t.Parallel()
	for p, want := range map[phase.Phase]pb.State{
		phase.Active: pb.State_STATE_ACTIVE, phase.Held: pb.State_STATE_HELD, phase.Draining: pb.State_STATE_DRAINING,
		phase.Leaving: pb.State_STATE_STOPPING, phase.Stopping: pb.State_STATE_STOPPING,
	} {
		if got := state(p); got != want {
			t.Errorf("%v: got %v, want %v", p, got, want)
		}
	}
}
