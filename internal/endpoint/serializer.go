package endpoint

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
)

// Serializer converts between a method's values and the values in messages. It must be safe for
// concurrent use.
type Serializer interface {
	SerializeEntity(ctx context.Context, entity any) (any, error)
	DeserializeEntity(ctx context.Context, entity any) (any, error)
	DeserializeContext(ctx context.Context, dict map[string]any) (map[string]any, error)
}

// Serialized returns a method whose arguments and results are converted by a serializer. If s is
// nil, it returns m.
func Serialized(m *dispatch.Method, s Serializer) *dispatch.Method {
	if s == nil {
		return m
	}
	wrapped := Around(m, func(ctx context.Context, emit dispatch.Emit, invoke dispatch.Invocation) error {
		return invoke(ctx, func(item string) error {
			item, err := payload.MapResult(item, func(v any) (any, error) { return s.SerializeEntity(ctx, v) })
			if err != nil {
				return err
			}
			return emit(item)
		})
	})
	wrapped.Prepare = func(ctx context.Context, kwargs string) (context.Context, string, error) {
		dict, err := s.DeserializeContext(ctx, msgcontext.DictOrEmpty(ctx))
		if err != nil {
			return nil, "", msgcontext.Unserialized(err)
		}
		ctx = msgcontext.With(ctx, dict)
		kwargs, err = payload.MapArgs(kwargs, func(v any) (any, error) { return s.DeserializeEntity(ctx, v) })
		return ctx, kwargs, err
	}
	return wrapped
}
