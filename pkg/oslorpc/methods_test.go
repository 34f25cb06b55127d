package oslorpc_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type shapes struct{}

func (shapes) Plain(context.Context, sum) (int, error)                    { return 0, nil }
func (shapes) NoResult(context.Context, sum) error                        { return nil }
func (shapes) NoArguments(context.Context) (int, error)                   { return 0, nil }
func (*shapes) OnPointer(context.Context) error                           { return nil }
func (shapes) Map(context.Context, map[string]any) (int, error)           { return 0, nil }
func (shapes) RawText(context.Context, oslorpc.Raw) (oslorpc.Raw, error)  { return "", nil }
func (shapes) StreamOf(context.Context, sum) iter.Seq2[int, error]        { return nil }
func (shapes) MyRemoteMethod2(context.Context) error                      { return nil }
func (shapes) GetHTTPInfo(context.Context) error                          { return nil }
func (shapes) ID(context.Context) error                                   { return nil }
func (shapes) WithoutContext(sum) error                                   { return nil }
func (shapes) ScalarArgument(context.Context, int) error                  { return nil }
func (shapes) TwoArguments(context.Context, sum, sum) error               { return nil }
func (shapes) Variadic(context.Context, ...sum) error                     { return nil }
func (shapes) NoError(context.Context) int                                { return 0 }
func (shapes) Nothing(context.Context)                                    {}
func (shapes) ErrorFirst(context.Context) (error, int)                    { return nil, 0 }
func (shapes) StreamWithoutError(context.Context) iter.Seq[int]           { return nil }
func (shapes) StreamOfOtherSecond(context.Context) iter.Seq2[int, string] { return nil }

func TestMethodsTakesThoseOfRPCShape(t *testing.T) {
	got := slices.Sorted(maps.Keys(oslorpc.Methods(&shapes{}, oslorpc.Name("MyRemoteMethod2", "my_remote_method_2"))))
	want := []string{
		"get_http_info", "id", "map", "my_remote_method_2", "no_arguments", "no_result", "on_pointer", "plain", "raw_text", "stream_of",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if _, ok := oslorpc.Methods(shapes{})["my_remote_method2"]; !ok {
		t.Error("without Name, MyRemoteMethod2 is not my_remote_method2")
	}
	if _, ok := oslorpc.Methods(shapes{})["on_pointer"]; ok {
		t.Error("a method of the pointer is there without the pointer")
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
			endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(shapes{}, oslorpc.Name("Nope", "nope"))}, says: "no method Nope",
		},
		"exposed method that is not there": {
			endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(shapes{}, oslorpc.ExposeMethods("Plain", "Nope"))}, says: "no method Nope",
		},
		"exposed method that is empty": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": oslorpc.Expose(oslorpc.Method{})}}, says: `"m" is empty`,
		},
		"expected, of no errors": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": oslorpc.Expected(method)}}, says: "no error",
		},
		"expected, of nil": {
			endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": oslorpc.Expose(oslorpc.Expected(method, nil))}}, says: "nil",
		},
		"expected errors of a method that is not there": {
			endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(shapes{}, oslorpc.ExpectErrors("Nope", errBroken))}, says: "no method Nope",
		},
		"broken fallback": {
			endpoint: oslorpc.Endpoint{Namespace: "n", Fallback: oslorpc.Func(func(context.Context, int) (any, error) { return nil, nil })},
			says:     `fallback of endpoint "n"`,
		},
		"access policy":         {options: []oslorpc.ServerOption{oslorpc.WithAccessPolicy(9)}, says: "no access policy 9"},
		"no method":             {endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(struct{}{})}, says: "no method"},
		"two methods of a name": {endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(twice{})}, says: "two methods"},
		"nil":                   {endpoint: oslorpc.Endpoint{Methods: oslorpc.Methods(nil)}, says: "nil"},
		"scalar arguments": {endpoint: oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"m": oslorpc.Func(func(context.Context, int) (any, error) { return nil, nil }),
		}}, says: "struct"},
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
