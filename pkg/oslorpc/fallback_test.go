package oslorpc_test

import (
	"context"
	"iter"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// namesItself returns the name and the arguments of the method that was called.
var namesItself = oslorpc.Func(func(ctx context.Context, args oslorpc.Raw) (string, error) {
	return oslorpc.MessageFrom(ctx).Method + string(args), nil
})

func TestFallback(t *testing.T) {
	serve(t, "net1",
		oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{"foo": says("first")}},
		oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{"bar": says("second")}, Fallback: namesItself},
		oslorpc.Endpoint{Version: "1.2", Methods: map[string]oslorpc.Method{"bar": says("third"), "baz": says("third")}},
	)
	c := client(t)
	wantAnswers(t, c, map[string]string{"foo": "first", "bar": "second", "baz": "baz{}", "Any thing": "Any thing{}", "_private": ""})
	wantAnswers(t, c.Prepare(oslorpc.WithVersion("1.2")), map[string]string{"bar": "third", "baz": "third", "other": ""})
	got, err := oslorpc.Call[string](t.Context(), c, "other", map[string]any{"a": 1})
	if err != nil || got != `other{"a":1}` {
		t.Errorf("got %q, %v", got, err)
	}
	instances, err := open(t).Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info, err := open(t).Info(t.Context(), instances[0])
	if err != nil {
		t.Fatal(err)
	}
	endpoints := info.Servers[0].Endpoints
	fallback := endpoints[1].Fallback
	if endpoints[0].Fallback != nil || fallback.Name != "" || !fallback.ExtraArguments || fallback.Started != 3 {
		t.Errorf("got %v", endpoints)
	}
}

func TestFallbackIsAMethodLikeAnother(t *testing.T) {
	serveWith(t, []oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed)},
		oslorpc.Endpoint{Namespace: "hidden", Fallback: namesItself},
		oslorpc.Endpoint{Namespace: "exposed", Fallback: namesItself.Expose().Expect(errAbsent)},
		oslorpc.Endpoint{Namespace: "stream", Fallback: oslorpc.Stream(
			func(context.Context, oslorpc.Raw) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, nil) }
			}).Expose()})
	c := client(t)
	wantAnswers(t, c.Prepare(oslorpc.WithNamespace("hidden")), map[string]string{"foo": ""})
	wantAnswers(t, c.Prepare(oslorpc.WithNamespace("exposed")), map[string]string{"foo": "foo{}", "_foo": ""})
	var items []int
	for item, err := range oslorpc.Multicall[int](t.Context(), c.Prepare(oslorpc.WithNamespace("stream")), "any", nil) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	if !slices.Equal(items, []int{1, 2}) {
		t.Errorf("got %v", items)
	}
}
