package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/host"
)

// Serializer stands between a program's values and what travels: it can wrap objects with their
// version, encrypt, or add to the request context. It is used by many goroutines at once. Embed
// [NoSerializer] to write only some of the operations.
//
// Entities are JSON values: nil, bool, string, int64 (or *big.Int if it does not fit), float64,
// []any and map[string]any; what is returned may be anything that can be JSON. Each keyword
// argument is an entity, in the order of their names, and so is a result, or each item of a stream.
// An error at the client, or of the request context or an argument, is a [BadArguments] error, and
// the method does not run; an error of a result is a [BadResult] error. Errors of methods pass no
// serializer.
type Serializer interface {
	// SerializeEntity makes of a value what travels: of an argument at the client, where ctx is the
	// context of the call, and of a result at the server, where ctx is the context of the handler.
	SerializeEntity(ctx context.Context, entity any) (any, error)
	// DeserializeEntity is the inverse: of a result at the client, of an argument at the server,
	// where ctx carries the request context that DeserializeContext returned.
	DeserializeEntity(ctx context.Context, entity any) (any, error)
	// SerializeContext makes of the request context, which is empty if there is none, what travels.
	// The dict must not be changed.
	SerializeContext(ctx context.Context, dict RequestContext) (RequestContext, error)
	// DeserializeContext makes of what arrived, empty if nothing did, the request context of the
	// handler. The dict must not be changed.
	DeserializeContext(ctx context.Context, dict RequestContext) (RequestContext, error)
}

// NoSerializer leaves everything as it is. Clients and servers without a serializer do the same at
// no cost.
type NoSerializer struct{}

// SerializeEntity returns the entity.
func (NoSerializer) SerializeEntity(_ context.Context, entity any) (any, error) { return entity, nil }

// DeserializeEntity returns the entity.
func (NoSerializer) DeserializeEntity(_ context.Context, entity any) (any, error) { return entity, nil }

// SerializeContext returns the dict.
func (NoSerializer) SerializeContext(_ context.Context, dict RequestContext) (RequestContext, error) {
	return dict, nil
}

// DeserializeContext returns the dict.
func (NoSerializer) DeserializeContext(_ context.Context, dict RequestContext) (RequestContext, error) {
	return dict, nil
}

// WithSerializer has what a client or a server sends and receives pass through a serializer; nil
// for none, which is the default.
func WithSerializer(serializer Serializer) interface {
	ClientOption
	ServerOption
} {
	return serializerOption{serializer}
}

type serializerOption struct{ serializer Serializer }

func (o serializerOption) applyClient(s *client.Settings)   { s.Serializer = o.serializer }
func (o serializerOption) applyServer(c *host.ServerConfig) { c.Serializer = o.serializer }
