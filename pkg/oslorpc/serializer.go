package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/host"
)

// Serializer converts between a program's values and the values in messages. It can wrap objects
// with their version, encrypt, or add to the request context. It must be safe for concurrent use.
// Embed [NoSerializer] to implement only some of the operations.
//
// Entities are JSON values: nil, bool, string, int64 (or *big.Int if the number is larger),
// float64, []any and map[string]any. The methods may return anything that can be encoded as JSON.
// Each keyword argument is an entity, in the order of the names. So is a result, and each item of a
// stream. An error at the client, or about the request context or an argument, is a [BadArguments]
// error, and the method does not run. An error about a result is a [BadResult] error. Errors of
// methods do not pass through a serializer.
type Serializer interface {
	// SerializeEntity encodes a value for sending: an argument at the client, where ctx is the
	// context of the call, or a result at the server, where ctx is the context of the method.
	SerializeEntity(ctx context.Context, entity any) (any, error)
	// DeserializeEntity is the inverse, for a result at the client and an argument at the server.
	// At the server, ctx carries the request context that DeserializeContext returned.
	DeserializeEntity(ctx context.Context, entity any) (any, error)
	// SerializeContext encodes the request context for sending. The dict is empty if there is none.
	// It must not be changed.
	SerializeContext(ctx context.Context, dict RequestContext) (RequestContext, error)
	// DeserializeContext decodes a received request context for the method. The dict is empty if
	// none was received. It must not be changed.
	DeserializeContext(ctx context.Context, dict RequestContext) (RequestContext, error)
}

// NoSerializer returns everything unchanged. It behaves like a client or server without a
// serializer. Embed it in a [Serializer] that implements only some of the operations.
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

// WithSerializer passes everything that a client or a server sends and receives through a
// serializer. Nil, the default, means none.
func WithSerializer(serializer Serializer) interface {
	ClientOption
	ServerOption
} {
	return serializerOption{serializer}
}

type serializerOption struct{ serializer Serializer }

func (o serializerOption) applyClient(s *client.Settings)   { s.Serializer = o.serializer }
func (o serializerOption) applyServer(c *host.ServerConfig) { c.Serializer = o.serializer }
