package introduction_test

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/introduction"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet returns a fleet with the endpoints of the introduction, and the transport of the client.
func fleet(t *testing.T) (*oslorpctest.Fleet, *oslorpc.Transport) {
	t.Helper()
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: introduction.Topic, Server: "server1"}, []oslorpc.Endpoint{
		{Struct: oslorpc.Methods(introduction.TestEndpoint{})},
		{Namespace: "control", Version: "2.0", Methods: map[string]oslorpc.Method{"stop": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil })}},
	})
	return f, f.Transport()
}

func TestMessages(t *testing.T) {
	f, transport := fleet(t)
	test := introduction.NewTestClient(transport)
	for name, call := range map[string]func() (any, error){
		"test":      func() (any, error) { return test.Test(t.Context(), "a") },
		"test soon": func() (any, error) { return test.TestSoon(t.Context(), "a") },
	} {
		if got, err := call(); err != nil || got != "a" {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if err := test.Tell(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := introduction.NewControlClient(transport, "server1").Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var got []string
	for _, m := range f.Await(4) {
		got = append(got, strings.Join([]string{
			m.Topic, m.Namespace, m.Version.String(), m.Server, string(m.Delivery), m.Method, string(m.Args),
		}, " "))
	}
	want := []string{
		`test  1.0 server1 call test {"arg":"a"}`, `test  1.0 server1 call test {"arg":"a"}`,
		`test  1.0 server1 cast test {"arg":"a"}`, `test control 2.0 server1 cast stop {}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoServerIsThere(t *testing.T) {
	f, transport := fleet(t)
	f.Server("server1").Stop()
	if err := introduction.NewTestClient(transport).Tell(t.Context(), "a"); err != nil {
		t.Errorf("a fanout to no server is an error: %v", err)
	}
	if n := len(f.Messages()); n != 0 {
		t.Errorf("%d messages came", n)
	}
}

func TestLaterVersion(t *testing.T) {
	_, transport := fleet(t)
	_, err := introduction.NewTestClient(transport).TestLater(t.Context(), "a")
	if oslorpc.KindOf(err) != oslorpc.UnsupportedVersion {
		t.Errorf("got %v", err)
	}
}
