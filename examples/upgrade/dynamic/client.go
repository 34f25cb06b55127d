package dynamic

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ClientAPI is the client side of the interface at 1.2. Each method asks for the version that it
// needs, and no later one, so it reaches every server that can serve it.
type ClientAPI struct {
	client *oslorpc.Client
}

// NewClientAPI returns the client side on a transport. The options are the program's, for example a
// version cap from its configuration.
func NewClientAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *ClientAPI {
	return &ClientAPI{t.Client(oslorpc.Target{Topic: upgrade.Topic, Version: "1.0"}, options...)}
}

// Why explains the version cap.
func (c *ClientAPI) Why(ctx context.Context) (*oslorpc.CapReason, error) { return c.client.Why(ctx) }

// MyRemoteMethod calls my_remote_method, which every server has.
func (c *ClientAPI) MyRemoteMethod(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	return oslorpc.Call[upgrade.Answer](ctx, c.client, "my_remote_method", Args{Arg1: arg1, Arg2: arg2})
}

// MyRemoteMethod2 calls my_remote_method_2. Older servers get it without arg2, and behave as with
// its default.
func (c *ClientAPI) MyRemoteMethod2(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	return oslorpc.Call[upgrade.Answer](ctx, c.client, "my_remote_method_2", oslorpc.Variants{
		oslorpc.At("1.2", Args2{Arg1: arg1, Arg2: oslorpc.Some(arg2)}),
		oslorpc.At("1.1", Args2{Arg1: arg1}),
	})
}

// MyRemoteMethod2Strict is MyRemoteMethod2 for callers whose arg2 must not be ignored: it fails
// rather than run without arg2.
func (c *ClientAPI) MyRemoteMethod2Strict(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	strict := c.client.Prepare(oslorpc.WithVersion("1.2"))
	return oslorpc.Call[upgrade.Answer](ctx, strict, "my_remote_method_2", Args2{Arg1: arg1, Arg2: oslorpc.Some(arg2)})
}
