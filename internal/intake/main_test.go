package intake

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

const maxSize = 1000

type methods = map[string]*dispatch.Method

// newServer returns a server with methods in the default namespace at version 1.0. Its instance is
// "b1." and its name.
func newServer(tb testing.TB, topic, name string, m methods) *Server {
	tb.Helper()
	table := dispatch.NewTable([]dispatch.Endpoint{{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: m}})
	d := dispatch.New(dispatch.Config{
		Name: name, Table: table, Limits: dispatch.DefaultLimits, Phase: phase.Opened(), Log: slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return &Server{Dispatch: d, Instance: rpc.Instance{
		ID: "b1." + name, BootID: "b1", Exchange: rpc.DefaultExchange, Topic: topic, Server: name,
		State: rpc.StateActive, Implemented: table.Implemented(),
	}}
}

// newIntake returns the intake of a process with servers.
func newIntake(interceptors []rpc.Interceptor, servers ...*Server) *Intake {
	in := New(Config{
		BootID: "b1", Exchange: rpc.DefaultExchange, MaxSize: maxSize, Interceptors: interceptors, Log: slog.New(slog.DiscardHandler),
	})
	in.SetServers(servers)
	return in
}

// to returns a message for a target or an instance.
func to(target rpc.Target, instanceID string) *Message {
	return &Message{Request: dispatch.Request{Target: target, Method: "foo"}, InstanceID: instanceID}
}

// check fails the test unless err is an *rpc.Error with this kind and NotStarted, and its message
// contains all parts.
func check(t *testing.T, err error, kind rpc.Kind, notStarted bool, parts ...string) *rpc.Error {
	t.Helper()
	e, ok := err.(*rpc.Error) //nolint:errorlint // It must not be wrapped: the carrier encodes it.
	if !ok {
		t.Fatalf("want an *rpc.Error of kind %s, got %T: %v", kind.Name(), err, err)
	}
	if e.Kind != kind || e.NotStarted != notStarted {
		t.Errorf("want %s with NotStarted %v, got %s with %v: %v", kind.Name(), notStarted, e.Kind.Name(), e.NotStarted, e)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	return e
}
