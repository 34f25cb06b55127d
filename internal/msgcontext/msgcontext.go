// Package msgcontext carries the request context of a message, a dict in oslo.messaging's terms,
// inside a context.Context: from the caller to the handler, and on to the calls of the handler.
package msgcontext

import (
	"context"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type key struct{}

// carried is a request context, as JSON text and as a dict. One of the forms is given, and the
// other is made on demand.
type carried struct {
	text func() (string, error)
	dict func() map[string]any
}

// With returns ctx with a dict as its request context, which replaces any other. An empty dict
// means none. The dict must not be changed afterwards.
func With(ctx context.Context, dict map[string]any) context.Context {
	if len(dict) == 0 {
		return without(ctx)
	}
	return context.WithValue(ctx, key{}, &carried{
		text: sync.OnceValues(func() (string, error) { return payload.MarshalArgs(dict) }),
		dict: func() map[string]any { return dict },
	})
}

// WithText is [Arrived], but returns an error if the text is not a JSON object.
func WithText(ctx context.Context, text string) (context.Context, error) {
	if err := Check(text); err != nil {
		return nil, err
	}
	return Arrived(ctx, text), nil
}

// Arrived returns ctx with the text of a JSON object as its request context. The text is decoded on
// demand.
func Arrived(ctx context.Context, text string) context.Context {
	if isEmpty(text) {
		if from(ctx) == nil {
			return ctx
		}
		return without(ctx)
	}
	return context.WithValue(ctx, key{}, &carried{
		text: func() (string, error) { return text, nil },
		dict: sync.OnceValue(func() map[string]any { return decode(text) }),
	})
}

// Check returns an error of kind rpc.BadArguments if a text is not a JSON object.
func Check(text string) error {
	if isEmpty(text) {
		return nil
	}
	if v := jsontext.Value(text); v.Kind() != '{' || !v.IsValid() {
		return &rpc.Error{Kind: rpc.BadArguments, Message: "the request context must be a JSON object", NotStarted: true}
	}
	return nil
}

func isEmpty(text string) bool { return text == "" || text == "{}" }

// decode returns the dict in a text, or nil if the text is not a JSON object. An entry that cannot
// be decoded, for example because of the number 1e999, becomes a payload.Raw, so that the other
// entries are not lost.
func decode(text string) map[string]any {
	var dict map[string]any
	if payload.Unmarshal(text, &dict, rpc.BadArguments) == nil {
		return dict
	}
	var entries map[string]payload.Raw
	if payload.Unmarshal(text, &entries, rpc.BadArguments) != nil {
		return nil
	}
	dict = make(map[string]any, len(entries))
	for name, raw := range entries {
		var value any
		if payload.Unmarshal(string(raw), &value, rpc.BadArguments) != nil {
			value = raw
		}
		dict[name] = value
	}
	return dict
}

// Dict returns the request context in ctx, or nil if there is none. It must not be changed.
func Dict(ctx context.Context) map[string]any {
	if c := from(ctx); c != nil {
		return c.dict()
	}
	return nil
}

// DictOrEmpty is Dict for serializers. It never returns nil, so they may add to a clone of the
// result.
func DictOrEmpty(ctx context.Context) map[string]any {
	if dict := Dict(ctx); dict != nil {
		return dict
	}
	return map[string]any{}
}

// Unserialized returns the error for a request context on which a serializer failed with err.
func Unserialized(err error) *rpc.Error {
	return &rpc.Error{Kind: rpc.BadArguments, Message: "the serializer failed on the request context: " + err.Error(), Cause: err}
}

// Text returns the request context in ctx as JSON text, or an empty string if there is none.
func Text(ctx context.Context) (string, error) {
	if c := from(ctx); c != nil {
		return c.text()
	}
	return "", nil
}

func without(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, (*carried)(nil))
}

func from(ctx context.Context) *carried {
	c, _ := ctx.Value(key{}).(*carried)
	return c
}
