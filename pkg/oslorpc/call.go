package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Call has one server run a method and returns its result: any server on the client's topic, or the
// one that it names. Args are the keyword arguments: nil for none, a struct whose JSON names are
// their names, a map with string keys, [Raw], or [Variants].
//
// The deadline is the earlier one of the deadline of ctx and of [WithTimeout], or
// [DefaultCallTimeout]. Errors are an [*Error]. If the method itself failed, errors.As finds a
// [*RemoteError]. Of a streaming method it returns the last item.
func Call[R any](ctx context.Context, c *Client, method string, args any) (R, error) {
	var result R
	err := c.engine.Call(ctx, method, arguments(args), &result)
	return result, err
}

// Cast has one server run a method, without waiting for it. It returns when a server has accepted
// the message into its queue. The message then runs once, unless that server dies first. If the
// client's target is a fanout, every server is sent to, as by [Client.Fanout], and what came of it
// is not reported.
//
// The deadline is the earlier one of the deadline of ctx and of [WithTimeout], or
// [DefaultCastTimeout]. It ends at acceptance.
func (c *Client) Cast(ctx context.Context, method string, args any) error {
	return c.engine.Cast(ctx, method, arguments(args))
}

// arguments returns arguments as the engine takes them.
func arguments(args any) any {
	list, several := args.(Variants)
	if !several {
		return args
	}
	variants := make(client.Variants, len(list))
	for i, v := range list {
		variants[i] = client.Variant(v)
	}
	return variants
}
