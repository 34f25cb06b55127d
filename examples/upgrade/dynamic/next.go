package dynamic

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// NextVersion is the first version of the next major version.
const NextVersion = "2.0"

// ServerAPI2 has changes that a minor version cannot have: in 2.0, arg1 is a number in place of a
// string.
//
//	2.0 - arg1 of my_remote_method is a number; removed my_remote_method_2
type ServerAPI2 struct{}

// NextArgs are the arguments of my_remote_method at 2.0.
type NextArgs struct {
	Arg1 int    `json:"arg1"`
	Arg2 string `json:"arg2"`
}

// MyRemoteMethod is the method at 2.0.
func (ServerAPI2) MyRemoteMethod(ctx context.Context, args NextArgs) (upgrade.Answer, error) {
	return upgrade.Work(ctx, NextVersion, args.Arg2)
}

// BothMajors returns the endpoints of a server for the time until all clients use 2.0. A message
// goes to the endpoint of its major version.
func BothMajors() []oslorpc.Endpoint {
	return []oslorpc.Endpoint{
		{Version: NextVersion, Struct: oslorpc.Methods(ServerAPI2{})},
		Endpoint(),
	}
}

// NextClientAPI is the client side at 2.0.
type NextClientAPI struct {
	client *oslorpc.Client
}

// NewNextClientAPI returns the client side at 2.0 on a transport.
func NewNextClientAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *NextClientAPI {
	return &NextClientAPI{t.Client(oslorpc.Target{Topic: upgrade.Topic, Version: NextVersion}, options...)}
}

// Why explains the version cap, which applies to one major version.
func (c *NextClientAPI) Why(ctx context.Context) (*oslorpc.CapReason, error) {
	return c.client.Why(ctx)
}

// MyRemoteMethod calls my_remote_method with a number.
func (c *NextClientAPI) MyRemoteMethod(ctx context.Context, arg1 int, arg2 string) (upgrade.Answer, error) {
	return oslorpc.Call[upgrade.Answer](ctx, c.client, "my_remote_method", NextArgs{Arg1: arg1, Arg2: arg2})
}
