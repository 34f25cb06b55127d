package main

import (
	"context"
	"fmt"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/examples/upgrade/dynamic"
	"github.com/oslorpc/oslorpc/examples/upgrade/typed"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// current is the common part of the dynamic and the typed client.
type current interface {
	Why(ctx context.Context) (*oslorpc.CapReason, error)
	MyRemoteMethod(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error)
	MyRemoteMethod2(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error)
	MyRemoteMethod2Strict(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error)
}

// api returns the calls of the client of the release.
func (o options) api(t *oslorpc.Transport) (*api, error) {
	limits := []oslorpc.ClientOption{oslorpc.WithVersionAliases(upgrade.Releases), oslorpc.WithVersionCap(o.limit)}
	d, s := dynamic.NewClientAPI(t, limits...), typed.NewClientAPI(t, limits...)
	var c current = d
	without := dynamic.NewClientAPI11(t, limits...).MyRemoteMethod2
	if o.typed {
		c, without = s, s.MyRemoteMethod2At11
	}
	first := call{"my_remote_method(a, b)", func(ctx context.Context) (upgrade.Answer, error) { return c.MyRemoteMethod(ctx, "a", "b") }}
	second := call{"my_remote_method_2(a)", func(ctx context.Context) (upgrade.Answer, error) { return without(ctx, "a") }}
	switch {
	case o.release == "1.0":
		return &api{c.Why, []call{first}}, nil
	case o.release == "1.1":
		return &api{c.Why, []call{first, second}}, nil
	case o.release == dynamic.Version:
		return &api{c.Why, append([]call{first}, o.second(c)...)}, nil
	case o.release == dynamic.NextVersion && !o.typed:
		return next(t, limits), nil
	}
	return nil, fmt.Errorf("there is no client for --version %s with --typed=%v", o.release, o.typed)
}

// second are the calls of my_remote_method_2 at 1.2.
func (o options) second(c current) []call {
	calls := []call{{"my_remote_method_2(a, b)", func(ctx context.Context) (upgrade.Answer, error) { return c.MyRemoteMethod2(ctx, "a", "b") }}}
	if o.strict {
		calls = append(calls, call{"my_remote_method_2(a, b), strictly", func(ctx context.Context) (upgrade.Answer, error) {
			return c.MyRemoteMethod2Strict(ctx, "a", "b")
		}})
	}
	return calls
}

// next returns the calls of the client of the next major version.
func next(t *oslorpc.Transport, limits []oslorpc.ClientOption) *api {
	c := dynamic.NewNextClientAPI(t, limits...)
	return &api{c.Why, []call{{"my_remote_method(1, b)", func(ctx context.Context) (upgrade.Answer, error) { return c.MyRemoteMethod(ctx, 1, "b") }}}}
}
