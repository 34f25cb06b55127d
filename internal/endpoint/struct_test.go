package endpoint_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/failure"
)

type args struct {
	A int `json:"a"`
}

type shapes struct{}

func (shapes) Plain(context.Context, args) (int, error)             { return 0, nil }
func (shapes) NoResult(context.Context, args) error                 { return nil }
func (shapes) NoArguments(context.Context) (int, error)             { return 0, nil }
func (*shapes) OnPointer(context.Context) error                     { return nil }
func (shapes) Map(context.Context, map[string]any) (int, error)     { return 0, nil }
func (shapes) StreamOf(context.Context, args) iter.Seq2[int, error] { return nil }
func (shapes) MyRemoteMethod2(context.Context) error                { return nil }
func (shapes) GetHTTPInfo(context.Context) error                    { return nil }
func (shapes) ID(context.Context) error                             { return nil }
func (shapes) WithoutContext(args) error                            { return nil }
func (shapes) Close() error                                         { return nil }

type digits struct{}

func (digits) MyRemoteMethod2(context.Context) error { return nil }
func (digits) GetHTTP2Info(context.Context) error    { return nil }
func (digits) V4(context.Context) error              { return nil }
func (digits) Named7(context.Context) error          { return nil }

func TestNamesOfMethods(t *testing.T) {
	t.Parallel()
	named := endpoint.Of(digits{}).Rename("Named7", "own_name")
	for name, test := range map[string]struct {
		of   endpoint.Struct
		want []string
	}{
		"none": {endpoint.Struct{}, nil},
		"a pointer": {endpoint.Of(&shapes{}).Rename("MyRemoteMethod2", "my_remote_method_2"), []string{
			"get_http_info", "id", "map", "my_remote_method_2", "no_arguments", "no_result", "on_pointer", "plain", "stream_of",
		}},
		"a value": {endpoint.Of(shapes{}), []string{
			"get_http_info", "id", "map", "my_remote_method2", "no_arguments", "no_result", "plain", "stream_of",
		}},
		"omitted": {endpoint.Of(shapes{}).Since("1.0", "ID").Omit("ID", "Map").Omit("Plain"), []string{
			"get_http_info", "my_remote_method2", "no_arguments", "no_result", "stream_of",
		}},
		"digits":          {named, []string{"get_http2_info", "my_remote_method2", "own_name", "v4"}},
		"digits as words": {named.DigitsAsWords(), []string{"get_http_2_info", "my_remote_method_2", "own_name", "v_4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built, err := endpoint.Endpoint{Struct: test.of}.Build()
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(built.Methods)); !slices.Equal(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

type onPointers struct{}

func (*onPointers) Build(context.Context, args) error { return nil }

// The error for a value without suitable methods names the value and says what is missing.
func TestWithoutMethods(t *testing.T) {
	t.Parallel()
	const shape = "no exported method looks like func(ctx, struct) (R, error)"
	for _, test := range []struct {
		of   endpoint.Struct
		want string
	}{
		{endpoint.Of(onPointers{}), "Methods(endpoint_test.onPointers): " + shape + "; pass &endpoint_test.onPointers{} if the receivers are pointers"},
		{endpoint.Of(&struct{}{}), "Methods(*struct {}): " + shape},
		{endpoint.Of(nil), "Methods was given nil"},
		{endpoint.Of(&onPointers{}).Rename("Biuld", "build"),
			`*endpoint_test.onPointers has no method Biuld that looks like func(ctx, struct) (R, error); did you mean "Build"? It has Build`},
	} {
		_, err := endpoint.Endpoint{Struct: test.of}.Build()
		if text := failure.Text(err); text != test.want {
			t.Errorf("got  %s\nwant %s", text, test.want)
		}
	}
}

// Each change returns another Struct, so that several can be made from one.
func TestStructsDoNotChange(t *testing.T) {
	t.Parallel()
	base := endpoint.Of(digits{}).Since("1.0", "V4")
	one, two := base.Expose("V4"), base.Omit("V4")
	for _, test := range []struct {
		of              endpoint.Struct
		listed, exposed bool
	}{{base, true, false}, {one, true, true}, {two, false, false}} {
		built, err := endpoint.Endpoint{Struct: test.of}.Build()
		if err != nil {
			t.Fatal(err)
		}
		m, listed := built.Methods["v4"]
		if listed != test.listed || listed && m.Exposed != test.exposed {
			t.Errorf("listed %v, %+v: want %+v", listed, m, test)
		}
	}
}
