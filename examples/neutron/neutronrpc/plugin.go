package neutronrpc

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ClientAPI is the client side of the example API in Neutron's developer guide.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - Added my_remote_method_2
//	1.2 - Added arg2 to my_remote_method_2
type ClientAPI struct{ client *oslorpc.Client }

// NewClientAPI returns the client side for a topic.
func NewClientAPI(t *oslorpc.Transport, topic string, options ...oslorpc.ClientOption) *ClientAPI {
	return &ClientAPI{t.Client(oslorpc.Target{Topic: topic, Version: "1.0"}, options...)}
}

// MyRemoteMethod needs only the initial version.
func (a *ClientAPI) MyRemoteMethod(ctx context.Context, arg1, arg2 string) (string, error) {
	return oslorpc.Call[string](ctx, a.client, "my_remote_method", MyRemoteMethodArgs{Arg1: arg1, Arg2: arg2})
}

// MyRemoteMethod2 needs a server that has the method.
func (a *ClientAPI) MyRemoteMethod2(ctx context.Context, arg1 string) (string, error) {
	c := a.client.Prepare(oslorpc.WithVersion("1.1"))
	return oslorpc.Call[string](ctx, c, "my_remote_method_2", MyRemoteMethod2Args{Arg1: arg1})
}

// MyRemoteMethod2With needs a server that knows the argument. An older one would refuse the
// message.
func (a *ClientAPI) MyRemoteMethod2With(ctx context.Context, arg1, arg2 string) (string, error) {
	c := a.client.Prepare(oslorpc.WithVersion("1.2"))
	return oslorpc.Call[string](ctx, c, "my_remote_method_2", MyRemoteMethod2Args{Arg1: arg1, Arg2: oslorpc.Some(arg2)})
}

// The arguments of the methods of [ServerRPC].
type (
	// MyRemoteMethodArgs are the arguments of my_remote_method.
	MyRemoteMethodArgs struct {
		Arg1 string `json:"arg1"`
		Arg2 string `json:"arg2"`
	}
	// MyRemoteMethod2Args are the arguments of my_remote_method_2.
	MyRemoteMethod2Args struct {
		Arg1 string `json:"arg1"`
		// Arg2 is absent in messages of clients before 1.2, so the server has a default.
		Arg2 oslorpc.Opt[string] `json:"arg2"`
	}
)

// ServerRPC is the server side of [ClientAPI].
type ServerRPC interface {
	MyRemoteMethod(ctx context.Context, args MyRemoteMethodArgs) (string, error)
	MyRemoteMethod2(ctx context.Context, args MyRemoteMethod2Args) (string, error)
}

// ServerAPI returns the endpoint of a server. It offers only the methods of the interface, even if
// the server has others.
func ServerAPI(server ServerRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.2", Struct: oslorpc.Methods(struct{ ServerRPC }{server}).
		Rename("MyRemoteMethod2", "my_remote_method_2").
		Since("1.1", "MyRemoteMethod2")}
}
