// Package dynamic is the interface of the example with Go methods for the servers and keyword
// arguments in messages, as in oslo.messaging.
package dynamic

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Version is the version that ServerAPI implements. Every change of ServerAPI raises it, and is
// listed there.
const Version = "1.2"

// ServerAPI is the server side of the interface.
//
//	1.0 - Initial version
//	1.1 - Added my_remote_method_2
//	1.2 - Added arg2 to my_remote_method_2
type ServerAPI struct{}

// Endpoint returns the endpoint of a server.
func Endpoint() oslorpc.Endpoint {
	return oslorpc.Endpoint{
		Version: Version,
		Struct:  oslorpc.Methods(ServerAPI{}).Rename("MyRemoteMethod2", myRemoteMethod2).Since("1.1", "MyRemoteMethod2"),
	}
}

// myRemoteMethod2 is the name of the method in oslo.messaging. The snake case of the Go name would
// be my_remote_method2.
const myRemoteMethod2 = "my_remote_method_2"

// Args are the arguments of my_remote_method. Both are required.
type Args struct {
	Arg1 string `json:"arg1"`
	Arg2 string `json:"arg2"`
}

// MyRemoteMethod exists since 1.0.
func (ServerAPI) MyRemoteMethod(ctx context.Context, args Args) (upgrade.Answer, error) {
	return upgrade.Work(ctx, Version, args.Arg2)
}

// Args2 are the arguments of my_remote_method_2.
type Args2 struct {
	Arg1 string `json:"arg1"`
	// Arg2 may be absent, since callers before 1.2 do not send it. A plain field would be required,
	// so their messages would be refused.
	Arg2 oslorpc.Opt[string] `json:"arg2"`
}

// MyRemoteMethod2 exists since 1.1. Its arg2, since 1.2, has a default with which the method
// behaves as before.
func (ServerAPI) MyRemoteMethod2(ctx context.Context, args Args2) (upgrade.Answer, error) {
	return upgrade.Work(ctx, Version, args.Arg2.Or(upgrade.DefaultArg2))
}
