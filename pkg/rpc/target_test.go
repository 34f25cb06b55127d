package rpc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestTargetTextForm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		target rpc.Target
		want   string
	}{
		{"nothing given", rpc.Target{}, "<Target >"},
		{"exchange", rpc.Target{Exchange: "testexchange"}, "<Target exchange=testexchange>"},
		{"topic", rpc.Target{Topic: "testtopic"}, "<Target topic=testtopic>"},
		{"namespace", rpc.Target{Namespace: "testnamespace"}, "<Target namespace=testnamespace>"},
		{"version", rpc.Target{Version: "3.4"}, "<Target version=3.4>"},
		{"server", rpc.Target{Server: "testserver"}, "<Target server=testserver>"},
		{"fanout", rpc.Target{Fanout: true}, "<Target fanout=True>"},
		{
			"exchange and fanout",
			rpc.Target{Exchange: "testexchange", Fanout: true},
			"<Target exchange=testexchange, fanout=True>",
		},
		{
			"some",
			rpc.Target{Topic: "t", Version: "1.0", Server: "s"},
			"<Target topic=t, version=1.0, server=s>",
		},
		{
			"all, in a fixed order",
			rpc.Target{Fanout: true, Server: "s", Version: "1.2.3", Namespace: "n", Topic: "t", Exchange: "e"},
			"<Target exchange=e, topic=t, namespace=n, version=1.2.3, server=s, fanout=True>",
		},
		{"not only ASCII", rpc.Target{Topic: "tópico"}, "<Target topic=tópico>"},
		{
			"control characters are quoted",
			rpc.Target{Topic: "t\nlevel=error", Server: "s"},
			`<Target topic="t\nlevel=error", server=s>`,
		},
		{"what is not UTF-8 is quoted", rpc.Target{Server: "s\xff"}, `<Target server="s\xff">`},
		{
			"what is too long is cut",
			rpc.Target{Topic: strings.Repeat("t", 1000)},
			`<Target topic="` + strings.Repeat("t", 64) + `"...>`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.target.String(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTargetEquality(t *testing.T) {
	t.Parallel()
	set := map[string]func(*rpc.Target, string){
		"exchange":  func(t *rpc.Target, v string) { t.Exchange = v },
		"topic":     func(t *rpc.Target, v string) { t.Topic = v },
		"namespace": func(t *rpc.Target, v string) { t.Namespace = v },
		"version":   func(t *rpc.Target, v string) { t.Version = v },
		"server":    func(t *rpc.Target, v string) { t.Server = v },
	}
	values := []string{"", "foo", "bar", "Foo"}
	for name, set := range set {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, a := range values {
				for _, b := range values {
					var one, other rpc.Target
					set(&one, a)
					set(&other, b)
					if got, want := one == other, a == b; got != want {
						t.Errorf("%q and %q: equal is %v, want %v", a, b, got, want)
					}
				}
			}
		})
	}
	t.Run("fields are not mixed up", func(t *testing.T) {
		t.Parallel()
		seen := map[rpc.Target]string{{}: "nothing", {Fanout: true}: "fanout"}
		for name, set := range set {
			var target rpc.Target
			set(&target, "x")
			if before, ok := seen[target]; ok {
				t.Errorf("%s equals %s", name, before)
			}
			seen[target] = name
		}
	})
}

func TestTargetIsAMapKey(t *testing.T) {
	t.Parallel()
	target := func() rpc.Target {
		return rpc.Target{Exchange: "e", Topic: "t", Namespace: "n", Version: "1.0", Server: strings.Repeat("s", 2), Fanout: true}
	}
	m := map[rpc.Target]int{target(): 1}
	if m[target()] != 1 {
		t.Error("an equal target does not find the entry")
	}
	other := target()
	other.Fanout = false
	if _, found := m[other]; found {
		t.Error("another target finds the entry")
	}
}

func TestTargetValidation(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", 255)
	for _, test := range []struct {
		name   string
		target rpc.Target
		want   []string // what the message must contain; none if the target is valid
	}{
		{"nothing given", rpc.Target{}, nil},
		{"all given", rpc.Target{Exchange: "e", Topic: "t", Namespace: "n", Version: "1.2.3", Server: "s", Fanout: true}, nil},
		{"spaces and punctuation", rpc.Target{Topic: "a b/c=%d", Server: `net1.example.org:1`}, nil},
		{"not only ASCII", rpc.Target{Topic: "größe"}, nil},
		{"the longest name", rpc.Target{Server: longest}, nil},
		{"bytes count, not characters", rpc.Target{Topic: strings.Repeat("é", 128)}, []string{"the topic", "longer than 255 bytes", "shorten"}},
		{"exchange too long", rpc.Target{Exchange: longest + "x"}, []string{"the exchange", "longer than 255 bytes"}},
		{"namespace too long", rpc.Target{Namespace: longest + "x"}, []string{"the namespace", "longer than 255 bytes"}},
		{"server too long", rpc.Target{Server: longest + "x"}, []string{"the server", "longer than 255 bytes"}},
		{"not UTF-8", rpc.Target{Server: "\xff"}, []string{`the server "\xff"`, "not UTF-8", "encode"}},
		{"newline", rpc.Target{Topic: "a\nb"}, []string{`the topic "a\nb"`, "control characters", "remove"}},
		{"NUL", rpc.Target{Exchange: "a\x00"}, []string{`the exchange "a\x00"`, "control characters"}},
		{"delete", rpc.Target{Namespace: "a\x7f"}, []string{`the namespace "a\x7f"`, "control characters"}},
		{"C1 control", rpc.Target{Namespace: "a\u0085"}, []string{`the namespace "a\u0085"`, "control characters"}},
		{"right-to-left override", rpc.Target{Server: "a\u202eb"}, []string{`the server "a\u202eb"`, "control characters"}},
		{"isolate", rpc.Target{Exchange: "a\u2066b"}, []string{`the exchange "a\u2066b"`, "control characters"}},
		{"Arabic letter mark", rpc.Target{Topic: "a\u061cb"}, []string{`the topic "a\u061cb"`, "control characters"}},
		{"line separator", rpc.Target{Topic: "a\u2028b"}, []string{`the topic "a\u2028b"`, "control characters"}},
		{"no control: a joiner", rpc.Target{Topic: "a\u200db"}, nil},
		{"version", rpc.Target{Version: "1"}, []string{`version "1"`, "major.minor"}},
		{"the first one is reported", rpc.Target{Topic: "\n", Server: "\n"}, []string{`the topic "\n"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checkTarget(t, test.target, test.target.Validate(), test.want)
		})
	}
}

func TestTargetValidationByRole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		target         rpc.Target
		client, server []string
	}{
		{"nothing", rpc.Target{}, []string{"topic is required", "set Target.Topic"}, []string{"topic and server", "set Target.Topic and Target.Server"}},
		{"topic", rpc.Target{Topic: "t"}, nil, []string{"set Target.Topic and Target.Server"}},
		{"server", rpc.Target{Server: "s"}, []string{"set Target.Topic"}, []string{"set Target.Topic and Target.Server"}},
		{"topic and server", rpc.Target{Topic: "t", Server: "s"}, nil, nil},
		{"fanout", rpc.Target{Topic: "t", Server: "s", Fanout: true}, nil, nil},
		{
			"namespace and version, which belong to endpoints",
			rpc.Target{Topic: "t", Server: "s", Namespace: "n", Version: "1.0"},
			nil, nil,
		},
		{
			"the general rules hold too",
			rpc.Target{Topic: "t", Server: "s\n"},
			[]string{"control characters"}, []string{"control characters"},
		},
		{
			"a malformed version",
			rpc.Target{Topic: "t", Server: "s", Version: "one"},
			[]string{`"one"`}, []string{`"one"`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checkTarget(t, test.target, test.target.ValidateClient(), test.client)
			checkTarget(t, test.target, test.target.ValidateServer(), test.server)
		})
	}
}

// checkTarget fails the test unless err is an InvalidTarget about the target whose message contains
// all of want. If want is empty, err must be nil.
func checkTarget(t *testing.T, target rpc.Target, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("want no error, got %v", err)
		}
		return
	}
	var e *rpc.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an *rpc.Error, got %v", err)
	}
	if e.Kind != rpc.InvalidTarget || e.Target != target || !e.NotStarted {
		t.Errorf("want an InvalidTarget about the target, not started, got %+v", e)
	}
	for _, part := range want {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	if text := err.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) || len(text) > 1000 {
		t.Errorf("the text must be one line that can be logged: %q", text)
	}
}
