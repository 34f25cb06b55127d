package oslorpc_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type shapes struct{}

func (shapes) Plain(context.Context, sum) (int, error)                   { return 0, nil }
func (shapes) NoResult(context.Context, sum) error                       { return nil }
func (shapes) NoArguments(context.Context) (int, error)                  { return 0, nil }
func (*shapes) OnPointer(context.Context) error                          { return nil }
func (shapes) Map(context.Context, map[string]any) (int, error)          { return 0, nil }
func (shapes) RawText(context.Context, oslorpc.Raw) (oslorpc.Raw, error) { return "", nil }
func (shapes) StreamOf(context.Context, sum) iter.Seq2[int, error]       { return nil }
func (shapes) MyRemoteMethod2(context.Context) error                     { return nil }
func (shapes) GetHTTPInfo(context.Context) error                         { return nil }
func (shapes) ID(context.Context) error                                  { return nil }
func (shapes) Pointer(_ context.Context, s *sum) (int64, error)          { return s.A, nil }
func (shapes) WithoutContext(sum) error                                  { return nil }
func (shapes) Close() error                                              { return nil }

// flawed has methods that look like RPC methods but cannot be served.
type flawed struct{}

func (flawed) Plain(context.Context, sum) (int, error)                    { return 0, nil }
func (flawed) ScalarArgument(context.Context, int) error                  { return nil }
func (flawed) TwoArguments(context.Context, sum, sum) error               { return nil }
func (flawed) ContextSecond(sum, context.Context) error                   { return nil }
func (flawed) Variadic(context.Context, ...sum) error                     { return nil }
func (flawed) PointerToMap(context.Context, *map[string]any) error        { return nil }
func (flawed) NoError(context.Context) int                                { return 0 }
func (flawed) Nothing(context.Context)                                    {}
func (flawed) ErrorFirst(context.Context) (error, int)                    { return nil, 0 }
func (flawed) StreamWithoutError(context.Context) iter.Seq[int]           { return nil }
func (flawed) StreamOfOtherSecond(context.Context) iter.Seq2[int, string] { return nil }
func (flawed) Channel(context.Context) (chan int, error)                  { return nil, nil }
func (flawed) ChannelWithin(context.Context, withChannel) error           { return nil }

type withChannel struct {
	List []struct{ C chan int } `json:"list"`
}

// A method that takes a context but cannot be served is an error. The start names the method and
// the required shape.
func TestMethodsOfAnotherShape(t *testing.T) {
	all := []string{
		"ScalarArgument", "TwoArguments", "ContextSecond", "Variadic", "PointerToMap", "NoError", "Nothing", "ErrorFirst",
		"StreamWithoutError", "StreamOfOtherSecond", "Channel", "ChannelWithin",
	}
	for _, name := range all {
		others := slices.DeleteFunc(slices.Clone(all), func(other string) bool { return other == name })
		err := startWith(t, oslorpc.Methods(flawed{}).Omit(others...))
		if strings.HasPrefix(name, "Channel") {
			wantKind(t, err, oslorpc.Invalid, oslorpc.SafeToRetry(err))
			wantText(t, err, "chan int")
		} else {
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, "flawed has a method "+name+" ", "func(context.Context, args) (result, error)", `Omit("`+name+`")`)
		}
	}
	if err := startWith(t, oslorpc.Methods(flawed{}).Omit(all...)); err != nil {
		t.Error(err)
	}
	err := startWith(t, oslorpc.Methods(flawed{}).Omit(append(all, "Nope")...))
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "no method Nope")
}

// startWith starts a server with methods and returns the error.
func startWith(t *testing.T, methods oslorpc.StructMethods) error {
	t.Helper()
	s := open(t).Server(oslorpc.Target{Topic: "t", Server: "s"})
	s.Add(oslorpc.Endpoint{Struct: methods})
	return s.Start(t.Context())
}

// foreign embeds a type of another package, whose methods take contexts, and a type of this
// package.
type foreign struct {
	*oslorpc.Client
	nearby
}

func (foreign) Own(context.Context) error { return nil }

type nearby struct{ *oslorpc.Server }

// Methods of another package's types cannot be changed. Such methods are left out if they have
// another shape.
func TestMethodsOfEmbeddedTypes(t *testing.T) {
	if err := startWith(t, oslorpc.Methods(&foreign{})); err != nil {
		t.Error(err)
	}
	err := startWith(t, oslorpc.Methods(struct{ flawed }{}).Omit("Channel", "ChannelWithin"))
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "cannot be served", "Omit")
}

func TestMethodWithAPointerToItsArguments(t *testing.T) {
	serve(t, "node1", oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{})}, oslorpc.Endpoint{
		Namespace: "func", Methods: map[string]oslorpc.Method{"pointer": oslorpc.Func(shapes{}.Pointer)},
	})
	c := client(t)
	for _, c := range []*oslorpc.Client{c, c.Prepare(oslorpc.WithNamespace("func"))} {
		if got, err := oslorpc.Call[int](t.Context(), c, "pointer", sum{A: 7}); got != 7 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		_, err := oslorpc.Call[int](t.Context(), c, "pointer", map[string]int{"x": 1})
		wantKind(t, err, oslorpc.BadArguments, true)
		wantText(t, err, `"x"`, "a (integer)")
	}
}

// Python programs pass None for optional arguments.
func TestNoneForAnOptionalArgument(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.0"))
	if got, err := oslorpc.Call[int](t.Context(), client(t), "add", map[string]any{"a": 7, "b": nil}); got != 7 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

type twice struct{}

func (twice) DoIt(context.Context) error { return nil }
func (twice) Do_it(context.Context) error { // its name is the point
	return nil
}

type inner struct {
	X int `json:"x"`
}

type twoFields struct {
	inner
	X int `json:"x"`
}

func TestStartRefusesBrokenEndpoints(t *testing.T) {
	method := oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil })
	for name, test := range map[string]struct {
		target    oslorpc.Target
		options   []oslorpc.ServerOption
		endpoint  oslorpc.Endpoint
		says      string
		kindOther oslorpc.Kind
	}{
		"no server name": {target: oslorpc.Target{Topic: "t"}, says: "server names", kindOther: oslorpc.InvalidTarget},
		"no topic":       {target: oslorpc.Target{Server: "s"}, says: "topic", kindOther: oslorpc.InvalidTarget},
		"long topic":     {target: oslorpc.Target{Topic: strings.Repeat("x", 256), Server: "s"}, says: "255", kindOther: oslorpc.InvalidTarget},
		"no worker":      {options: []oslorpc.ServerOption{oslorpc.WithWorkers(0)}, says: "worker"},
		"version":        {endpoint: oslorpc.Endpoint{Namespace: "n", Version: "1"}, says: "major.minor"},
		"namespace":      {endpoint: oslorpc.Endpoint{LegacyNamespaces: []string{"a\tb"}}, says: "control", kindOther: oslorpc.InvalidTarget},
		"empty method":   {endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": {}}}, says: `"m" is empty`},
		"no name":        {endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"": method}}, says: "is empty"},
		"renamed method that is not there": {
			endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{}).Rename("Nope", "nope")}, says: "no method Nope",
		},
		"exposed method that is not there": {
			endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{}).Expose("Plain", "Nope")}, says: "no method Nope",
		},
		"exposed method that is empty": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": oslorpc.Method{}.Expose()}}, says: `"m" is empty`,
		},
		"expected, of no errors": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": method.Expect()}}, says: "no error",
		},
		"expected, of nil": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": method.Expect(nil).Expose()}}, says: "nil",
		},
		"expected errors of a method that is not there": {
			endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{}).Expect("Nope", errBroken)}, says: "no method Nope",
		},
		"broken fallback": {
			endpoint: oslorpc.Endpoint{Namespace: "n", Fallback: oslorpc.Func(func(context.Context, int) (any, error) { return nil, nil })},
			says:     `fallback of endpoint "n"`,
		},
		"access policy":         {options: []oslorpc.ServerOption{oslorpc.WithAccessPolicy(9)}, says: "no access policy 9"},
		"no exported method":    {endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(struct{}{})}, says: "no exported method"},
		"two methods of a name": {endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(twice{})}, says: "two methods"},
		"nil":                   {endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(nil)}, says: "nil"},
		"scalar arguments": {endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"m": oslorpc.Func(func(context.Context, int) (any, error) { return nil, nil }),
		}}, says: "struct"},
		"mark of no method":    {endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{}).Expose()}, says: "Expose was given no method"},
		"changes of no struct": {endpoint: oslorpc.Endpoint{Struct: oslorpc.StructMethods{}.Omit("Plain")}, says: "nil"},
		"name in both":         {endpoint: oslorpc.Endpoint{Struct: oslorpc.Methods(shapes{}), Methods: map[string]oslorpc.Method{"plain": method}}, says: `"plain" in Methods and in Struct`},
		"two fields of a name": {endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"m": oslorpc.Func(func(context.Context, twoFields) (any, error) { return nil, nil }),
		}}, says: `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			target, kind := test.target, test.kindOther
			if target == (oslorpc.Target{}) {
				target = oslorpc.Target{Topic: "t", Server: "s"}
			}
			if kind == 0 {
				kind = oslorpc.Invalid
			}
			s := open(t).Server(target, test.options...)
			s.Add(test.endpoint)
			err := s.Start(t.Context())
			if oslorpc.KindOf(err) != kind {
				t.Errorf("got %v, want %s", err, kind)
			}
			wantText(t, err, test.says)
		})
	}
}
