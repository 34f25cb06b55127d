package conformance

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// These are the access policies, by their names in oslo.messaging: Default, Legacy and Explicit. A
// row that oslo.messaging runs without a policy has the default.
const (
	public  = oslorpc.AllowPublic
	all     = oslorpc.AllowAll
	exposed = oslorpc.AllowExposed
)

func policy(p oslorpc.AccessPolicy) []oslorpc.ServerOption {
	return []oslorpc.ServerOption{oslorpc.WithAccessPolicy(p)}
}

func TestDispatch(t *testing.T) {
	type test struct {
		row

		policy    oslorpc.AccessPolicy
		endpoints []oslorpc.Endpoint
		message   message
		want      outcome
	}
	two := []oslorpc.Endpoint{{}, {Namespace: "testns"}}
	legacy := []oslorpc.Endpoint{{Namespace: "testns", LegacyNamespaces: []string{"second", oslorpc.None}}}
	each(t, "D", 16, nil, []test{
		{row{id: "D1"}, public, nil, message{method: "foo"}, unsupported("1.0")},
		{row{id: "D2"}, public, []oslorpc.Endpoint{{}}, message{method: "foo"}, calls("0.foo")},
		{
			row{id: "D3"}, all, []oslorpc.Endpoint{{}},
			message{method: "bar", args: `{"blaa":true}`}, outcome{calls: "0.bar", result: `{"blaa":true}`},
		},
		{row{id: "D4"}, all, []oslorpc.Endpoint{{}}, message{method: "foo", namespace: null}, calls("0.foo")},
		{row{id: "D5"}, public, []oslorpc.Endpoint{{}}, message{method: "foo", version: "1.0"}, calls("0.foo")},
		{row{id: "D6"}, public, []oslorpc.Endpoint{{}}, message{method: "foobar"}, noSuchMethod("foobar")},
		{row{id: "D7"}, public, two, message{method: "foo", namespace: "testns"}, calls("1.foo")},
		{row{id: "D8"}, public, two, message{method: "foo", namespace: "nstest"}, unsupported("1.0")},
		{row{id: "D9"}, public, []oslorpc.Endpoint{{Version: "1.5"}, {Version: "3.4"}}, message{method: "foo", version: "3.2"}, calls("1.foo")},
		{row{id: "D10"}, public, []oslorpc.Endpoint{{Version: "1.5"}, {Version: "3.0"}}, message{method: "foo", version: "3.2"}, unsupported("3.2")},
		{
			row{id: "D11"}, public, []oslorpc.Endpoint{{Namespace: "testns", LegacyNamespaces: []string{oslorpc.None}}},
			message{method: "foo", namespace: null}, calls("0.foo"),
		},
		{row{id: "D12"}, public, legacy, message{method: "foo", namespace: "wrong"}, unsupported("1.0")},
		{row{id: "D13"}, public, legacy, message{method: "foo", namespace: "testns"}, calls("0.foo")},
		{row{id: "D14"}, public, legacy, message{method: "_foobar", namespace: "testns"}, noSuchMethod("_foobar")},
		{row{id: "D15"}, exposed, legacy, message{method: "foo", namespace: "testns"}, noSuchMethod("foo")},
		{row{id: "D16"}, exposed, legacy, message{method: "bar", namespace: "testns"}, outcome{calls: "0.bar", result: `{}`}},
	}, func(t *testing.T, test test) {
		w := &witness{}
		for i := range test.endpoints {
			name := strconv.Itoa(i)
			test.endpoints[i].Methods = w.methods(name, "foo", "_foobar")
			test.endpoints[i].Methods["bar"] = oslorpc.Func(func(ctx context.Context, args oslorpc.Raw) (oslorpc.Raw, error) {
				w.see(ctx, name+".bar")
				return args, nil
			}).Expose()
		}
		server, err := serve(t, policy(test.policy), test.endpoints...)
		if err != nil {
			t.Fatal(err)
		}
		test.want.check(t, w, server.ask(t, test.message))
	})
}

const (
	noNull     = "upstream distinguishes a null from an absent key; the contract here has presence and no null, so a null is absent"
	noEmpty    = "upstream compares an empty name with the namespaces; here a name that is present and empty is refused, since it can only be a mistake"
	typed      = "upstream fails with the error of the code that first fails on it; here it is a typed error that says what is wrong, before a method runs"
	notThere   = "upstream finds any attribute of the endpoint object, and fails to call it; here only registered methods exist"
	absentArgs = "upstream fails on arguments that are null; the contract here has presence, and absent arguments mean no arguments"
	itsOwn     = "upstream's caller cannot tell a method's error from the dispatcher's own; here a method's error has the kind Remote and keeps its type"
	fields     = "upstream's endpoints have a `target` of any type, checked when the server is made; " +
		"here namespace and version are typed fields, and a malformed version is refused at the start"
	unrelated = "upstream's policies are classes, and it refuses any other value when the server is made; " +
		"here they are values of a separate type, and an unknown value is refused at the start"
)

// Rows that name no endpoints use A, B and C (see abc).
func TestDispatchExtra(t *testing.T) {
	type test struct {
		row

		policy    oslorpc.AccessPolicy
		endpoints func(*witness) []oslorpc.Endpoint
		message   message
		want      outcome
	}
	ns := func(version, method string) message {
		return message{namespace: "n", version: version, method: method, args: `{"x":1}`}
	}
	plain := func(version any, method string) message { return message{version: version, method: method} }
	inNamespace := func(namespace any) message { return message{namespace: namespace, method: "foo"} }
	each(t, "DX", 24, nil, []test{
		{row{id: "DX1a"}, public, abc, ns("2.0", "foo"), calls("A.foo")},
		{row{id: "DX1b"}, public, abc, ns("2.3", "foo"), calls("A.foo")},
		{row{id: "DX2a"}, public, abc, ns("2.4", "foo"), calls("B.foo")},
		{row{id: "DX2b"}, public, abc, ns("2.5", "foo"), calls("B.foo")},
		{row{id: "DX3a"}, public, abc, ns("2.6", "foo"), unsupported("2.6")},
		{row{id: "DX3b"}, public, abc, ns("1.0", "foo"), unsupported("1.0")},
		{row{id: "DX3c"}, public, abc, message{namespace: "n", method: "foo", args: `{"x":1}`}, unsupported("1.0")},
		{row{id: "DX4a"}, public, abc, ns("2.0", "only_b"), calls("B.only_b")},
		{row{id: "DX4b"}, public, abc, ns("2.5", "only_b"), calls("B.only_b")},
		{row{id: "DX5"}, public, abc, ns("2.0", "nope"), noSuchMethod("nope")},
		{row{id: "DX6a"}, public, abc, ns("2.9", "nope"), unsupported("2.9")},
		{row{id: "DX6b"}, public, abc, message{namespace: "zz", version: "2.0", method: "nope"}, unsupported("2.0")},
		{row{id: "DX7a"}, public, abc, plain(nil, "foo"), calls("C.foo")},
		{row{id: "DX7b"}, public, abc, plain("1.0", "foo"), calls("C.foo")},
		{row{id: "DX8a"}, public, abc, plain("1.1", "foo"), unsupported("1.1")},
		{row{id: "DX8b"}, public, abc, plain("0.9", "foo"), unsupported("0.9")},
		{row{"DX9", noNull}, public, abc, plain(null, "foo"), calls("C.foo")},
		{row{"DX10", noEmpty}, public, abc, inNamespace(""), invalid("`target.namespace` is present and empty")},
		{row{"DX11a", typed}, public, abc, plain("", "foo"), invalid("`target.version` is present and empty")},
		{row{"DX11b", typed}, public, abc, plain("1.x", "foo"), invalid(`version "1.x" is malformed`)},
		{row{"DX11c", typed}, public, abc, plain("1", "foo"), invalid(`version "1" is malformed`)},
		{row{id: "DX12a"}, public, abc, ns("2.0", "_priv"), noSuchMethod("_priv")},
		{row{id: "DX12b"}, public, abc, plain(nil, "__class__"), noSuchMethod("__class__")},
		{row{id: "DX12d"}, public, abc, plain(nil, "_priv"), noSuchMethod("_priv")},
		{row{"DX12c", typed}, public, abc, plain(nil, ""), invalid("`method` is required")},
		{row{"DX13a", typed}, public, abc, message{}, invalid("`method` is required")},
		{row{"DX13b", typed}, public, abc, message{method: null}, invalid("`method` is required")},
		{row{"DX13c", "upstream sends a number for the method, and the server fails on it; the contract here has no such message"}, public,
			abc, message{method: 7}, outcome{unsayable: true}},
		{row{"DX14a", absentArgs}, public, abc, message{method: "foo", args: noArgs}, calls("C.foo")},
		{row{"DX14b", typed}, public, abc, message{method: "foo", args: "null"}, badArguments("not null")},
		{row{"DX14c", typed}, public, abc, message{method: "foo", args: "[]"}, badArguments("not an array")},
		{row{"DX15a", typed}, public, abc, message{namespace: "n", version: "2.0", method: "foo"}, badArguments(`missing argument "x"`)},
		{row{"DX15b", typed}, public, abc, message{namespace: "n", version: "2.0", method: "foo", args: `{"x":1,"z":2}`}, badArguments(`no argument "z"`)},
		{row{"DX15c", typed}, public, abc, message{namespace: "n", version: "2.0", method: "opt", args: `{"x":1,"ctxt":2}`}, badArguments(`no argument "ctxt"`)},
		{row{id: "DX16"}, public, abc, ns("2.0", "opt"), outcome{calls: "A.opt", result: `[1,7]`}},
		{row{"DX17", notThere}, public, abc, ns("2.0", "attr"), noSuchMethod("attr")},
		{row{"DX18", itsOwn}, public, failing, plain(nil, "foo"), outcome{calls: "first.foo", kind: oslorpc.Remote, says: "oslorpc.NoSuchMethod"}},
		{row{id: "DX19"}, exposed, halfExposed, plain(nil, "f"), calls("second.f")},
		{row{id: "DX20a"}, all, abc, ns("2.0", "_priv"), calls("A._priv")},
		{row{id: "DX20b"}, exposed, abc, ns("2.0", "exp"), calls("A.exp")},
		{row{id: "DX20c"}, exposed, abc, ns("2.0", "foo"), noSuchMethod("foo")},
		{row{id: "DX20d"}, exposed, abc, ns("2.0", "_priv"), noSuchMethod("_priv")},
		{row{id: "DX21a"}, public, legacyA, inNamespace(null), calls("a.foo")},
		{row{id: "DX21b"}, public, legacyA, inNamespace("a"), calls("a.foo")},
		{row{id: "DX21c"}, public, legacyA, inNamespace("b"), calls("a.foo")},
		{row{id: "DX21d"}, public, legacyA, inNamespace(nil), calls("a.foo")},
		{row{id: "DX21e"}, public, legacyA, inNamespace("c"), unsupported("1.0")},
		{row{"DX21f", noEmpty}, public, legacyA, inNamespace(""), invalid("`target.namespace` is present and empty")},
		{row{id: "DX22a"}, public, unversioned, plain("1.0", "foo"), calls("u.foo")},
		{row{id: "DX22b"}, public, unversioned, plain("1.1", "foo"), unsupported("1.1")},
		{row{"DX23a", fields}, public, malformedEndpoint, message{}, outcome{noStart: `version "text" is malformed`}},
		{row{id: "DX23b"}, public, unversioned, plain(nil, "foo"), calls("u.foo")},
		{row{"DX24", unrelated}, exposed + 1, unversioned, message{}, outcome{noStart: "access policy"}},
	}, func(t *testing.T, test test) {
		w := &witness{}
		server, err := serve(t, policy(test.policy), test.endpoints(w)...)
		if test.want.noStart != "" {
			wantStartFailure(t, err, test.want.noStart)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		test.want.check(t, w, server.ask(t, test.message))
	})
}

func wantStartFailure(t *testing.T, err error, says string) {
	t.Helper()
	wantKind(t, err, oslorpc.Invalid)
	if err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("the error %q does not say %q", err, says)
	}
}

type (
	fooArgs struct {
		X int `json:"x"`
	}
	optArgs struct {
		X int              `json:"x"`
		Y oslorpc.Opt[int] `json:"y"`
	}
	anyArgs struct {
		X oslorpc.Opt[int] `json:"x"`
	}
)

// abc returns three endpoints: A and B are in one namespace with different versions, and C has
// neither a namespace nor a version.
func abc(w *witness) []oslorpc.Endpoint {
	named := func(name string) map[string]oslorpc.Method {
		return map[string]oslorpc.Method{
			"foo": oslorpc.Func(func(ctx context.Context, _ fooArgs) (string, error) { return w.see(ctx, name+".foo"), nil }),
			"opt": oslorpc.Func(func(ctx context.Context, args optArgs) ([]int, error) {
				w.see(ctx, name+".opt")
				return []int{args.X, args.Y.Or(7)}, nil
			}),
			"exp":   oslorpc.Func(func(ctx context.Context, _ fooArgs) (string, error) { return w.see(ctx, name+".exp"), nil }).Expose(),
			"_priv": oslorpc.Func(func(ctx context.Context, _ fooArgs) (string, error) { return w.see(ctx, name+"._priv"), nil }),
		}
	}
	a, b := named("A"), named("B")
	b["only_b"] = oslorpc.Func(func(ctx context.Context, _ fooArgs) (string, error) { return w.see(ctx, "B.only_b"), nil })
	c := map[string]oslorpc.Method{
		"foo":   oslorpc.Func(func(ctx context.Context, _ anyArgs) (string, error) { return w.see(ctx, "C.foo"), nil }),
		"_priv": oslorpc.Func(func(ctx context.Context, _ anyArgs) (string, error) { return w.see(ctx, "C._priv"), nil }),
	}
	return []oslorpc.Endpoint{
		{Namespace: "n", Version: "2.3", Methods: a}, {Namespace: "n", Version: "2.5", Methods: b}, {Methods: c},
	}
}

// failing returns two endpoints. The first one fails as if the method did not exist.
func failing(w *witness) []oslorpc.Endpoint {
	first := oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		return w.see(ctx, "first.foo"), &oslorpc.Error{Kind: oslorpc.NoSuchMethod, Message: "as if"}
	})
	return []oslorpc.Endpoint{{Methods: map[string]oslorpc.Method{"foo": first}}, {Methods: w.methods("second", "foo")}}
}

// halfExposed returns two endpoints with the same method. Only the second one exposes it.
func halfExposed(w *witness) []oslorpc.Endpoint {
	second := w.methods("second", "f")
	second["f"] = second["f"].Expose()
	return []oslorpc.Endpoint{{Methods: w.methods("first", "f")}, {Methods: second}}
}

func legacyA(w *witness) []oslorpc.Endpoint {
	return []oslorpc.Endpoint{{
		Namespace: "a", Version: "1.2", LegacyNamespaces: []string{oslorpc.None, "b"}, Methods: w.methods("a", "foo"),
	}}
}

func unversioned(w *witness) []oslorpc.Endpoint {
	return []oslorpc.Endpoint{{Version: "", Methods: w.methods("u", "foo")}}
}

func malformedEndpoint(w *witness) []oslorpc.Endpoint {
	return []oslorpc.Endpoint{{Version: "text", Methods: w.methods("m", "foo")}}
}
