package endpoint_test

import (
	"context"
	"errors"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// marking is a serializer that marks values, and fails on the entity "bad".
type marking struct{}

func (marking) SerializeEntity(_ context.Context, v any) (any, error) {
	return map[string]any{"out": v}, nil
}

func (marking) DeserializeEntity(_ context.Context, v any) (any, error) {
	if v == "bad" {
		return nil, errors.New("no such object")
	}
	return map[string]any{"in": v}, nil
}

func (marking) DeserializeContext(_ context.Context, dict map[string]any) (map[string]any, error) {
	if dict["user"] == "bad" {
		return nil, errors.New("no such user")
	}
	return map[string]any{"entries": len(dict)}, nil
}

// echo is an endpoint whose methods, including the fallback, return their arguments.
func echo(t *testing.T) dispatch.Endpoint {
	t.Helper()
	m := endpoint.Func(func(_ context.Context, args map[string]any) (any, error) { return args, nil })
	built, err := endpoint.Endpoint{Methods: map[string]endpoint.Method{"echo": m}, Fallback: m}.Build()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// invoke runs a method like a dispatcher.
func invoke(ctx context.Context, m *dispatch.Method, kwargs string) (_ context.Context, emitted string, err error) {
	if m.Prepare != nil {
		if ctx, kwargs, err = m.Prepare(ctx, kwargs); err != nil {
			return nil, "", err
		}
	}
	run, err := m.Bind(kwargs)
	if err != nil {
		return nil, "", err
	}
	if m.Around != nil {
		run = m.Around(run)
	}
	err = run(ctx, func(item string) error {
		emitted += item
		return nil
	})
	return ctx, emitted, err
}

func TestSerializerIsAroundEveryMethod(t *testing.T) {
	t.Parallel()
	plain := echo(t)
	wrapped := endpoint.Map(plain, func(m *dispatch.Method) *dispatch.Method { return endpoint.Serialized(m, marking{}) })
	for name, m := range map[string]*dispatch.Method{"listed": wrapped.Methods["echo"], "fallback": wrapped.Fallback} {
		for entries, ctx := range []context.Context{t.Context(), msgcontext.With(t.Context(), map[string]any{"user": "bob"})} {
			_, emitted, err := invoke(ctx, m, `{"a":1}`)
			if want := `{"out":{"a":{"in":1}}}`; err != nil || emitted != want {
				t.Errorf("%s: got %s, %v, want %s", name, emitted, err, want)
			}
			ctx, _, err := invoke(ctx, m, `{}`)
			if err != nil || msgcontext.Dict(ctx)["entries"] != entries {
				t.Errorf("%s: the method has the request context %v, %v", name, msgcontext.Dict(ctx), err)
			}
		}
	}
	if _, emitted, err := invoke(t.Context(), plain.Methods["echo"], `{"a":1}`); err != nil || emitted != `{"a":1}` {
		t.Errorf("the endpoint that was wrapped changed: got %s, %v", emitted, err)
	}
}

func TestSerializerThatFails(t *testing.T) {
	t.Parallel()
	m := endpoint.Serialized(echo(t).Methods["echo"], marking{})
	bad := msgcontext.With(t.Context(), map[string]any{"user": "bad"})
	for name, call := range map[string]func() error{
		"context":  func() error { _, _, err := invoke(bad, m, `{}`); return err },
		"argument": func() error { _, _, err := invoke(t.Context(), m, `{"a":"bad"}`); return err },
	} {
		if err := call(); rpc.KindOf(err) != rpc.BadArguments {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNoSerializerLeavesTheMethod(t *testing.T) {
	t.Parallel()
	if m := echo(t).Methods["echo"]; endpoint.Serialized(m, nil) != m {
		t.Error("the method was wrapped")
	}
}

// The last wrapper around a method is the outermost.
func TestAroundNests(t *testing.T) {
	t.Parallel()
	var order string
	note := func(word string) func(context.Context, dispatch.Emit, dispatch.Invocation) error {
		return func(ctx context.Context, emit dispatch.Emit, invoke dispatch.Invocation) error {
			order += word
			return invoke(ctx, emit)
		}
	}
	m := echo(t).Methods["echo"]
	if _, _, err := invoke(t.Context(), endpoint.Around(endpoint.Around(m, note("inner ")), note("outer ")), `{}`); err != nil || order != "outer inner " {
		t.Errorf("got %q, %v", order, err)
	}
}
