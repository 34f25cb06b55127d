package oslorpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// says returns a method that returns a text.
func says(text string) oslorpc.Method {
	return oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return text, nil })
}

// serveWith starts a server with options on a separate transport.
func serveWith(t *testing.T, options []oslorpc.ServerOption, endpoints ...oslorpc.Endpoint) {
	t.Helper()
	s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "net1"}, options...)
	s.Add(endpoints...)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantAnswers calls methods without arguments and checks the results. A method whose result is ""
// must not exist.
func wantAnswers(t *testing.T, c *oslorpc.Client, answers map[string]string) {
	t.Helper()
	for method, want := range answers {
		got, err := oslorpc.Call[string](t.Context(), c, method, nil)
		switch {
		case want == "":
			wantKind(t, err, oslorpc.NoSuchMethod, true)
		case err != nil || got != want:
			t.Errorf("%s: got %q, %v, want %q", method, got, err, want)
		}
	}
}

type guarded struct{}

func (guarded) Open(context.Context) (string, error)   { return "open", nil }
func (guarded) Secret(context.Context) (string, error) { return "secret", nil }

func TestAccessPolicies(t *testing.T) {
	first := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"foo": says("first"), "bar": says("bar").Expose(), "_private": says("private"),
	}}
	second := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"foo": says("second").Expose()}}
	third := oslorpc.Endpoint{Struct: oslorpc.Methods(guarded{}).Expose("Open")}
	for name, test := range map[string]struct {
		options []oslorpc.ServerOption
		want    map[string]string
	}{
		"default": {nil, map[string]string{"foo": "first", "bar": "bar", "_private": "", "open": "open", "secret": "secret"}},
		"public": {
			[]oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowPublic)},
			map[string]string{"foo": "first", "bar": "bar", "_private": "", "secret": "secret"},
		},
		"all": {
			[]oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowAll)},
			map[string]string{"foo": "first", "bar": "bar", "_private": "private", "secret": "secret"},
		},
		"exposed": {
			[]oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed)},
			map[string]string{"foo": "second", "bar": "bar", "_private": "", "open": "open", "secret": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			serveWith(t, test.options, first, second, third)
			wantAnswers(t, client(t), test.want)
		})
	}
}

func TestExposeLeavesTheMethodItselfAsItIs(t *testing.T) {
	plain := says("plain")
	plain.Expose()
	serveWith(t, []oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed)},
		oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"plain": plain}})
	wantAnswers(t, client(t), map[string]string{"plain": ""})
}
