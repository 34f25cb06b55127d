package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Call runs a method on one server and returns its result. The server is any server on the client's
// topic, or the server that the client names. Args are the keyword arguments: nil for none, a
// struct with the argument names as JSON names, a map with string keys, [Raw], or [Variants].
//
// The deadline is the deadline of ctx or of [WithTimeout], whichever is earlier; if there is
// neither, [DefaultCallTimeout] applies. Errors are an [*Error]. If the method itself failed,
// errors.As finds a [*RemoteError]. For a streaming method, Call returns the last item.
func Call[R any](ctx context.Context, c *Client, method string, args any) (R, error) {
	var result R
	err := c.engine.Call(ctx, method, arguments(args), &result)
	return result, err
}

// Cast sends a message that runs a method on one server, and does not wait for the method. It
// returns when a server has accepted the message into its queue. The message then runs once, unless
// that server dies first. If the client's target is a fanout, Cast sends to every server, as
// [Client.Fanout] does, and does not report the outcome.
//
// The deadline is the deadline of ctx or of [WithTimeout], whichever is earlier; if there is
// neither, [DefaultCastTimeout] applies. It covers the time until the message is accepted.
func (c *Client) Cast(ctx context.Context, method string, args any) error {
	return c.engine.Cast(ctx, method, arguments(args))
}

// arguments converts [Variants] to the engine's type. It returns other arguments unchanged.
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
