package client

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"

	"google.golang.org/protobuf/proto"
)

// variant is the form of a message at one version.
type variant struct {
	version rpc.Version
	// target is the version as text, for the message's target. It is empty if none is given.
	target string
	// kwargs are the keyword arguments of a dynamic message, as JSON text.
	kwargs string
	// fitted is a typed message without the fields that need a later version. It is nil until it is
	// needed.
	fitted proto.Message
}

// Variant is one form of a dynamic message: the keyword arguments that it has at a version.
type Variant struct {
	Version string
	Args    any
}

// Variants are the forms in which a dynamic message may be sent, in order of preference. If they
// are the arguments, they replace the version of the client's target.
type Variants []Variant

// dynamic is the codec of messages with keyword arguments.
type dynamic struct {
	client *Client
	method string
	args   any
}

// dynamicOperation is a message with keyword arguments.
type dynamicOperation struct {
	operation

	content dynamic
}

// spare keeps operations that succeeded, for later messages.
var spare = sync.Pool{New: func() any { return &dynamicOperation{} }}

// one sends a message to one server. It reuses operations, because they are large, and most of the
// garbage of a message.
func (c *Client) one(ctx context.Context, k *kind, method string, args, result any) error {
	o := spare.Get().(*dynamicOperation)
	o.set(c, k, method, args, result)
	err := o.run(ctx, o)
	if o.isReusable(err) {
		*o = dynamicOperation{}
		spare.Put(o)
	}
	return err
}

// dynamic returns an operation that stores its result, if there is one, in the value that result
// points to.
func (c *Client) dynamic(k *kind, method string, args, result any) *operation {
	o := &dynamicOperation{}
	o.set(c, k, method, args, result)
	return &o.operation
}

// set initializes an empty operation.
func (o *dynamicOperation) set(c *Client, k *kind, method string, args, result any) {
	o.content = dynamic{client: c, method: method, args: args}
	o.client, o.kind, o.codec, o.result = c, k, &o.content, result
	o.message.Target, o.message.Method = c.settings.Target, method
}

// variants implements codec.
func (d *dynamic) variants(ctx context.Context) (preferred variant, others []variant, err error) {
	if err := rpc.ValidateMethod(d.method); err != nil {
		return variant{}, nil, err
	}
	list, several := d.args.(Variants)
	if !several {
		kwargs, err := d.client.write(ctx, d.args)
		return variant{version: d.client.query.Version, target: d.client.scope.Version, kwargs: kwargs}, nil, err
	}
	if len(list) == 0 {
		return variant{}, nil, failure.Invalid("a message needs at least one variant")
	}
	forms := make([]variant, len(list))
	for i, v := range list {
		if forms[i], err = d.variant(ctx, v); err != nil {
			return variant{}, nil, err
		}
	}
	return forms[0], forms[1:], nil
}

func (d *dynamic) variant(ctx context.Context, v Variant) (variant, error) {
	version, err := rpc.VersionOrDefault(v.Version)
	if err != nil {
		return variant{}, failure.Invalid("variant: %v", err)
	}
	kwargs, err := d.client.write(ctx, v.Args)
	if err != nil {
		return variant{}, fmt.Errorf("variant %s: %w", version, err)
	}
	return variant{version: version, target: v.Version, kwargs: kwargs}, nil
}

// Blame implements codec. It is empty because the caller chose the version.
func (d *dynamic) Blame() string { return "" }

// fill implements codec.
func (d *dynamic) fill(r *carrier.Request, v *variant) { r.Kwargs = v.kwargs }

// decode implements codec.
func (d *dynamic) decode(ctx context.Context, reply carrier.Reply, result any) error {
	return d.client.read(ctx, cmp.Or(reply.Result, "null"), result)
}
