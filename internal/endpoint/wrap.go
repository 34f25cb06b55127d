package endpoint

import (
	"context"
	"maps"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// Map returns a copy of an endpoint in which change was applied to each method, including the
// fallback.
func Map(e dispatch.Endpoint, change func(*dispatch.Method) *dispatch.Method) dispatch.Endpoint {
	e.Methods = maps.Clone(e.Methods)
	for name, m := range e.Methods {
		e.Methods[name] = change(m)
	}
	if e.Fallback != nil {
		e.Fallback = change(e.Fallback)
	}
	return e
}

// Around returns a copy of a method in which f runs instead of each invocation. F gets the
// invocation, to call it.
func Around(m *dispatch.Method, f func(context.Context, dispatch.Emit, dispatch.Invocation) error) *dispatch.Method {
	wrapped := *m
	wrapped.Around = func(invoke dispatch.Invocation) dispatch.Invocation {
		if m.Around != nil {
			invoke = m.Around(invoke)
		}
		return func(ctx context.Context, emit dispatch.Emit) error { return f(ctx, emit, invoke) }
	}
	return &wrapped
}
