package client

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Serializer converts between a program's values and their encoded form.
type Serializer interface {
	SerializeEntity(ctx context.Context, entity any) (any, error)
	DeserializeEntity(ctx context.Context, entity any) (any, error)
	SerializeContext(ctx context.Context, dict map[string]any) (map[string]any, error)
}

// contextText returns the encoded request context of ctx. It is empty if there is none.
func (c *Client) contextText(ctx context.Context) (string, error) {
	s := c.settings.Serializer
	if s == nil {
		return msgcontext.Text(ctx)
	}
	dict, err := s.SerializeContext(ctx, msgcontext.DictOrEmpty(ctx))
	if err != nil {
		return "", msgcontext.Unserialized(err)
	}
	return msgcontext.Text(msgcontext.With(ctx, dict))
}

// write encodes keyword arguments.
func (c *Client) write(ctx context.Context, args any) (string, error) {
	kwargs, err := payload.MarshalArgs(args)
	if s := c.settings.Serializer; err == nil && s != nil {
		kwargs, err = payload.MapArgs(kwargs, func(v any) (any, error) { return s.SerializeEntity(ctx, v) })
	}
	return kwargs, err
}

// read decodes a result into the value that result points to.
func (c *Client) read(ctx context.Context, text string, result any) error {
	if s := c.settings.Serializer; s != nil {
		var err error
		if text, err = payload.MapResult(text, func(v any) (any, error) { return s.DeserializeEntity(ctx, v) }); err != nil {
			return err
		}
	}
	return payload.Unmarshal(text, result, rpc.BadResult)
}
