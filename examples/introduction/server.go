// Package introduction is the example of oslo.messaging's documentation: a server with two
// endpoints, and a client type for each of them.
package introduction

import (
	"context"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Topic is the topic of the server.
const Topic = "test"

// TestEndpoint has the default namespace and version 1.0, like an endpoint without a target in
// oslo.messaging.
type TestEndpoint struct{}

// Test returns its argument.
func (TestEndpoint) Test(_ context.Context, args TestArgs) (any, error) { return args.Arg, nil }

// TestArgs are the arguments of the method test.
type TestArgs struct {
	Arg any `json:"arg"`
}

// ServerControlEndpoint lets clients stop the server.
type ServerControlEndpoint struct {
	Server *oslorpc.Server
}

// Stop stops the server, which first finishes the accepted messages, including this one.
func (e ServerControlEndpoint) Stop(ctx context.Context) error { return e.Server.Stop(ctx) }

// NewServer returns a server with both endpoints, which are tried in this order. The executor is
// [oslorpc.ExecutorPool], which runs many messages at a time, or [oslorpc.ExecutorBlocking], which
// runs them one after the other on the goroutine that runs the server.
func NewServer(t *oslorpc.Transport, name string, executor oslorpc.Executor, options ...oslorpc.ServerOption) *oslorpc.Server {
	options = append([]oslorpc.ServerOption{oslorpc.WithExecutor(executor)}, options...)
	server := t.Server(oslorpc.Target{Topic: Topic, Server: name}, options...)
	server.Add(
		oslorpc.Endpoint{Namespace: "control", Version: "2.0", Struct: oslorpc.Methods(ServerControlEndpoint{server})},
		oslorpc.Endpoint{Struct: oslorpc.Methods(TestEndpoint{})},
	)
	return server
}
