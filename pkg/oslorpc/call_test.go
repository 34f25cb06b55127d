package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCallReturnsTheResult(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.2"))
	c := client(t)
	for name, args := range map[string]any{
		"struct":  sum{A: 1, B: oslorpc.Some[int64](2)},
		"pointer": &sum{A: 1, B: oslorpc.Some[int64](2)},
		"map":     map[string]any{"a": 1, "b": 2},
		"raw":     oslorpc.Raw(`{"a":1,"b":2}`),
		"absent":  sum{A: 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := oslorpc.Call[int](t.Context(), c, "add", args); got != 3 || err != nil {
				t.Errorf("add: %v, %v", got, err)
			}
		})
	}
}

func TestCallKeepsValuesExact(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	sent := map[string]any{
		"max": int64(math.MaxInt64), "min": int64(math.MinInt64), "beyond": int64(1<<53 + 1), "huge": huge,
		"float": 1.0, "fraction": 0.1, "null": nil, "text": "snöwman ☃", "list": []any{int64(1), 2.5, "x", nil, true},
		"object": map[string]any{"nested": map[string]any{"n": int64(1)}},
	}
	got, err := oslorpc.Call[map[string]any](t.Context(), client(t), "echo", sent)
	if err != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("got  %#v (%v)\nsent %#v", got, err, sent)
	}
	raw, err := oslorpc.Call[oslorpc.Raw](t.Context(), client(t), "echo", oslorpc.Raw(`{"f":1.0,"i":1,"n":9007199254740993}`))
	if want := oslorpc.Raw(`{"f":1.0,"i":1,"n":9007199254740993}`); raw != want || err != nil {
		t.Errorf("echoed %s (%v), want %s", raw, err, want)
	}
}

func TestCallCarriesTheRequestContext(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	c := client(t)
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob", "roles": []any{"admin"}, "n": int64(1<<53 + 1)})
	got, err := oslorpc.Call[oslorpc.RequestContext](ctx, c, "context", nil)
	if want := oslorpc.ContextFrom(ctx); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
	if got, err := oslorpc.Call[oslorpc.RequestContext](t.Context(), c, "context", nil); len(got) != 0 || err != nil {
		t.Errorf("without a context: %v, %v", got, err)
	}
	_, err = oslorpc.Call[any](oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"f": func() {}}), c, "context", nil)
	wantKind(t, err, oslorpc.BadArguments, true)
}

// The calls of a method carry the request context of its message, unless the method replaces it.
func TestNestedCallPassesTheContextOn(t *testing.T) {
	serve(t, "inner", newAgent("inner").endpoint("1.0"))
	inner := client(t)
	outer := open(t)
	serveOn(t, outer, oslorpc.Target{Topic: "outer", Server: "outer"}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"same": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (oslorpc.RequestContext, error) {
			return oslorpc.Call[oslorpc.RequestContext](ctx, inner, "context", nil)
		}),
		"other": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (oslorpc.RequestContext, error) {
			ctx = oslorpc.WithContext(ctx, oslorpc.RequestContext{"user": "root"})
			return oslorpc.Call[oslorpc.RequestContext](ctx, inner, "context", nil)
		}),
		"fail": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			return oslorpc.Call[any](ctx, inner, "fail", nil)
		}),
	}})
	c := open(t).Client(oslorpc.Target{Topic: "outer"})
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob"})
	for method, user := range map[string]string{"same": "bob", "other": "root"} {
		if got, err := oslorpc.Call[oslorpc.RequestContext](ctx, c, method, nil); got["user"] != user || err != nil {
			t.Errorf("%s: %v, %v", method, got, err)
		}
	}
	_, err := oslorpc.Call[any](ctx, c, "fail", nil)
	var remote *oslorpc.RemoteError
	if !errors.As(err, &remote) || remote.Message != "broken" || fmt.Sprint(remote.Hops) != "[inner outer]" {
		t.Errorf("a failure of the inner server arrives as %#v", remote)
	}
}

func TestHandlerSeesWhatWasAsked(t *testing.T) {
	serve(t, "node1", oslorpc.Endpoint{Namespace: "base", Version: "2.5", Struct: oslorpc.Methods(newAgent("node1"))})
	c := client(t, oslorpc.WithNamespace("base"), oslorpc.WithVersion("2.1"))
	got, err := oslorpc.Call[asked](t.Context(), c, "asked", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := asked{Server: "node1", Namespace: "base", Version: "2.1", Method: "asked", ID: got.ID, Caller: got.Caller}
	if got != want || got.ID == "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCallReportsFailuresOfTheMethod(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	c := client(t)
	var remote *oslorpc.RemoteError

	_, err := oslorpc.Call[any](t.Context(), c, "fail", nil)
	wantKind(t, err, oslorpc.Remote, false)
	if !errors.As(err, &remote) || remote.Message != "broken" || len(remote.Stack) != 0 {
		t.Errorf("an error arrives as %#v", remote)
	}

	_, err = oslorpc.Call[any](t.Context(), c, "panic", nil)
	wantKind(t, err, oslorpc.Remote, false)
	if !errors.As(err, &remote) || remote.Type != "panic" || remote.Message != "ouch" || len(remote.Stack) == 0 {
		t.Errorf("a panic arrives as %#v", remote)
	}
	if got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); got != "node1" || err != nil {
		t.Errorf("after a panic: %v, %v", got, err)
	}

	_, err = oslorpc.Call[any](t.Context(), c, "unserialisable", nil)
	wantKind(t, err, oslorpc.BadResult, false)

	_, err = oslorpc.Call[int](t.Context(), c, "whoami", nil)
	wantKind(t, err, oslorpc.BadResult, false)
	wantText(t, err, "integer", "string")
}

func TestCallRefusesBadInput(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.2"),
		oslorpc.Endpoint{Namespace: "base", Version: "2.0", Struct: oslorpc.Methods(newAgent("node1"))})
	for name, test := range map[string]struct {
		options []oslorpc.ClientOption
		method  string
		args    any
		kind    oslorpc.Kind
		says    []string
	}{
		"unknown method":       {nil, "nope", nil, oslorpc.NoSuchMethod, []string{"nope", "whoami"}},
		"no method":            {nil, "", nil, oslorpc.InvalidTarget, []string{"name the method"}},
		"method not UTF-8":     {nil, "m\xff", nil, oslorpc.InvalidTarget, []string{`"m\xff"`, "UTF-8"}},
		"long method":          {nil, strings.Repeat("m", 5000), nil, oslorpc.InvalidTarget, []string{"255"}},
		"method with newline":  {nil, "m\nn", nil, oslorpc.InvalidTarget, []string{`invalid target: "m\nn" on`, "control characters"}},
		"non-ASCII method":     {nil, "schräg", nil, oslorpc.NoSuchMethod, []string{"schräg"}},
		"private method":       {nil, "not_a_method", nil, oslorpc.NoSuchMethod, nil},
		"later version":        {[]oslorpc.ClientOption{oslorpc.WithVersion("1.3")}, "whoami", nil, oslorpc.UnsupportedVersion, []string{"1.3", "1.2"}},
		"other major":          {[]oslorpc.ClientOption{oslorpc.WithVersion("2.0")}, "whoami", nil, oslorpc.UnsupportedVersion, nil},
		"unknown namespace":    {[]oslorpc.ClientOption{oslorpc.WithNamespace("x")}, "whoami", nil, oslorpc.UnsupportedVersion, []string{`"x"`, `"base"`}},
		"version of namespace": {[]oslorpc.ClientOption{oslorpc.WithNamespace("base")}, "whoami", nil, oslorpc.UnsupportedVersion, []string{"1.0", "2.0"}},
		"malformed version":    {[]oslorpc.ClientOption{oslorpc.WithVersion("1")}, "whoami", nil, oslorpc.InvalidTarget, []string{`"1"`, "major.minor"}},
		"malformed cap":        {[]oslorpc.ClientOption{oslorpc.WithVersionCap("x")}, "whoami", nil, oslorpc.Invalid, []string{"cap", `"x"`}},
		"above the cap":        {[]oslorpc.ClientOption{oslorpc.WithVersionCap("1.1"), oslorpc.WithVersion("1.2")}, "whoami", nil, oslorpc.VersionCapExceeded, []string{"1.2", "1.1"}},
		"unknown server":       {[]oslorpc.ClientOption{oslorpc.WithServer("node9")}, "whoami", nil, oslorpc.NoInstance, []string{"node9"}},
		"no topic":             {[]oslorpc.ClientOption{oslorpc.WithTopic(oslorpc.None)}, "whoami", nil, oslorpc.InvalidTarget, []string{"topic"}},
		"control characters":   {[]oslorpc.ClientOption{oslorpc.WithTopic("a\nb")}, "whoami", nil, oslorpc.InvalidTarget, []string{"topic", "control"}},
		"fanout":               {[]oslorpc.ClientOption{oslorpc.WithFanout(true)}, "whoami", nil, oslorpc.InvalidTarget, []string{"fanout"}},
		"unknown argument":     {nil, "add", map[string]any{"a": 1, "c": 2}, oslorpc.BadArguments, []string{`"c"`, "a (integer)", "b (integer, optional)"}},
		"missing argument":     {nil, "add", nil, oslorpc.BadArguments, []string{`"a"`}},
		"wrong type":           {nil, "add", map[string]any{"a": "1"}, oslorpc.BadArguments, []string{"/a", "integer", "string"}},
		"wrong case":           {nil, "add", map[string]any{"A": 1}, oslorpc.BadArguments, []string{`"A"`}},
		"null":                 {nil, "add", map[string]any{"a": nil}, oslorpc.BadArguments, []string{"/a", "null"}},
		"too large an integer": {nil, "add", oslorpc.Raw(`{"a":9223372036854775808}`), oslorpc.BadArguments, []string{"/a", "out of the range of int64"}},
		"no object":            {nil, "add", oslorpc.Raw(`[1]`), oslorpc.BadArguments, []string{"object", "array"}},
		"no JSON":              {nil, "add", oslorpc.Raw(`{"a":`), oslorpc.BadArguments, []string{"malformed JSON"}},
		"not arguments":        {nil, "add", 3, oslorpc.BadArguments, []string{"int", "struct"}},
		"not JSON":             {nil, "add", map[string]any{"a": func() {}}, oslorpc.BadArguments, []string{"/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oslorpc.Call[any](t.Context(), client(t, test.options...), test.method, test.args)
			wantKind(t, err, test.kind, true)
			wantText(t, err, test.says...)
		})
	}
}

func TestSizeLimits(t *testing.T) {
	small := oslorpc.WithLimits(rpc.Limits{MessageSize: 100_000})
	server := open(t, small)
	serveOn(t, server, oslorpc.Target{Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	for name, test := range map[string]struct {
		client *oslorpc.Transport
		method string
		args   any
		safe   bool
		says   string
	}{
		"request beyond the client's limit":  {open(t, small), "echo", map[string]any{"x": strings.Repeat("x", 100_001)}, true, "100000"},
		"request beyond the server's limit":  {open(t), "echo", map[string]any{"x": strings.Repeat("x", 100_001)}, true, "100000"},
		"response beyond the server's limit": {open(t), "large", size{100_001}, false, "100000"},
		"request beyond what gRPC takes":     {open(t), "echo", map[string]any{"x": strings.Repeat("x", 3<<20)}, false, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.client.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(10*time.Second))
			_, err := oslorpc.Call[any](t.Context(), c, test.method, test.args)
			wantKind(t, err, oslorpc.TooLarge, test.safe)
			wantText(t, err, test.says)
		})
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{newAgent("node1").endpoint("1.0")})
		client := func(options ...oslorpc.ClientOption) *oslorpc.Client {
			return f.Client(oslorpc.Target{Topic: "agents"}, options...)
		}
		soon := oslorpc.WithTimeout(50 * time.Millisecond)

		_, err := oslorpc.Call[any](t.Context(), client(soon), "hang", nil)
		wantKind(t, err, oslorpc.Timeout, false)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is no deadline exceeded", err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = oslorpc.Call[any](ctx, client(), "hang", nil)
		wantKind(t, err, oslorpc.Timeout, false)

		_, err = oslorpc.Call[any](t.Context(), client(oslorpc.WithTimeout(0)), "whoami", nil)
		if !oslorpc.SafeToRetry(err) {
			t.Errorf("a timeout of 0: %v", err)
		}

		_, err = oslorpc.Call[any](t.Context(), client(soon, oslorpc.WithTopic("nobody")), "whoami", nil)
		wantKind(t, err, oslorpc.NoInstance, true)
		wantText(t, err, "no server is on the topic", "(waited 50ms)")

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err = oslorpc.Call[any](ctx, client(), "hang", nil)
		wantKind(t, err, oslorpc.Canceled, false)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not canceled", err)
		}
	})
}

func TestNoServerThere(t *testing.T) {
	for name, option := range map[string]oslorpc.ClientOption{
		"retry 0": oslorpc.WithRetry(0), "fail fast": oslorpc.WithFailFast(true),
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, option)
			_, err := oslorpc.Call[any](t.Context(), c, "whoami", nil)
			wantKind(t, err, oslorpc.NoInstance, true)
			wantKind(t, c.Cast(t.Context(), "whoami", nil), oslorpc.NoInstance, true)
		})
	}
	t.Run("a server comes", func(t *testing.T) {
		c := client(t)
		done := make(chan error)
		go func() {
			_, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
			done <- err
		}()
		serve(t, "late", newAgent("late").endpoint("1.0"))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
