package dynamic

import (
	"context"
	"fmt"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// This file has the interface as it was in older releases, with which the example simulates mixed
// fleets. A real program has only the current one: its older releases are in its repository's
// history.

const (
	version10 = "1.0"
	version11 = "1.1"
)

// Endpoints returns the endpoints of a server of a release: 1.0, 1.1, 1.2, or 2.0, which also
// offers 1.2.
func Endpoints(release string) ([]oslorpc.Endpoint, error) {
	switch release {
	case version10:
		return []oslorpc.Endpoint{{Version: version10, Struct: oslorpc.Methods(ServerAPI10{})}}, nil
	case version11:
		return []oslorpc.Endpoint{{Version: version11, Struct: oslorpc.Methods(ServerAPI11{}).Rename("MyRemoteMethod2", myRemoteMethod2)}}, nil
	case Version:
		return []oslorpc.Endpoint{Endpoint()}, nil
	case NextVersion:
		return BothMajors(), nil
	}
	return nil, fmt.Errorf("there is no release %q: 1.0, 1.1, 1.2 and 2.0 are known", release)
}

// ServerAPI10 is ServerAPI as it was at 1.0.
type ServerAPI10 struct{}

// MyRemoteMethod was the only method.
func (ServerAPI10) MyRemoteMethod(ctx context.Context, args Args) (upgrade.Answer, error) {
	return upgrade.Work(ctx, version10, args.Arg2)
}

// ServerAPI11 is ServerAPI as it was at 1.1.
type ServerAPI11 struct{}

// Args2At11 are the arguments of my_remote_method_2 at 1.1. A message with an arg2 is refused.
type Args2At11 struct {
	Arg1 string `json:"arg1"`
}

// MyRemoteMethod was the same as now.
func (ServerAPI11) MyRemoteMethod(ctx context.Context, args Args) (upgrade.Answer, error) {
	return upgrade.Work(ctx, version11, args.Arg2)
}

// MyRemoteMethod2 did not know arg2.
func (ServerAPI11) MyRemoteMethod2(ctx context.Context, _ Args2At11) (upgrade.Answer, error) {
	return upgrade.Work(ctx, version11, "")
}

// ClientAPI11 is ClientAPI as it was at 1.1.
type ClientAPI11 struct {
	client *oslorpc.Client
}

// NewClientAPI11 is NewClientAPI as it was at 1.1.
func NewClientAPI11(t *oslorpc.Transport, options ...oslorpc.ClientOption) *ClientAPI11 {
	return &ClientAPI11{t.Client(oslorpc.Target{Topic: upgrade.Topic, Version: version10}, options...)}
}

// MyRemoteMethod2 calls my_remote_method_2, which needs a server at 1.1. In oslo.messaging this is
// prepare(version='1.1').
func (c *ClientAPI11) MyRemoteMethod2(ctx context.Context, arg1 string) (upgrade.Answer, error) {
	return oslorpc.Call[upgrade.Answer](ctx, c.client.Prepare(oslorpc.WithVersion(version11)), "my_remote_method_2", Args2At11{Arg1: arg1})
}
