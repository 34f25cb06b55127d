package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// This file has the compute as it was in older releases, with which the example simulates mixed
// fleets. A real program has only the current release: the older ones are in its repository's
// history.

// current is the release of the code.
const current = "gazpacho"

// release describes a release: which endpoints its computes serve.
type release struct {
	endpoints func(*manager) []oslorpc.Endpoint
	// alt is true if it also serves the topic for work in progress.
	alt bool
}

var releases = map[string]release{
	"queens":  {endpoints: func(m *manager) []oslorpc.Endpoint { return []oslorpc.Endpoint{queens(m)} }},
	"wallaby": {endpoints: func(m *manager) []oslorpc.Endpoint { return []oslorpc.Endpoint{wallaby(m), rpcapi.ComputeV5Proxy(m)} }},
	"zed":     {endpoints: func(m *manager) []oslorpc.Endpoint { return []oslorpc.Endpoint{zed(m), rpcapi.ComputeV5Proxy(m)} }},
	current: {alt: true, endpoints: func(m *manager) []oslorpc.Endpoint {
		return []oslorpc.Endpoint{rpcapi.ComputeManager(m), rpcapi.ComputeV5Proxy(m)}
	}},
}

func releaseNames() string { return strings.Join(slices.Sorted(maps.Keys(releases)), ", ") }

// zed has all arguments of the current release.
func zed(m *manager) oslorpc.Endpoint {
	e := rpcapi.ComputeManager(m)
	e.Version = "6.1"
	return e
}

// wallaby cannot write to boot volumes. It refuses a message with reimage_boot_volume.
func wallaby(m *manager) oslorpc.Endpoint {
	e := rpcapi.ComputeManager(m)
	e.Version = "6.0"
	e.Struct = e.Struct.Omit("RebuildInstance")
	e.Methods = map[string]oslorpc.Method{"rebuild_instance": oslorpc.Func(func(ctx context.Context, args struct {
		Instance   rpcapi.Instance       `json:"instance"`
		ImageRef   string                `json:"image_ref"`
		AccelUUIDs oslorpc.Opt[[]string] `json:"accel_uuids"`
	}) (any, error) {
		return nil, m.RebuildInstance(ctx, rpcapi.RebuildArgs{Instance: args.Instance, ImageRef: args.ImageRef, AccelUUIDs: args.AccelUUIDs})
	})}
	return e
}

// queens has no accelerators, and another name for sizes.
func queens(m *manager) oslorpc.Endpoint {
	e := rpcapi.ComputeV5Proxy(m)
	e.Version, e.Deprecated = "5.0", ""
	e.Struct = e.Struct.Omit("BuildAndRunInstance", "RebuildInstance")
	e.Methods["build_and_run_instance"] = oslorpc.Func(func(ctx context.Context, args struct {
		Instance    rpcapi.Instance    `json:"instance"`
		Image       string             `json:"image"`
		RequestSpec rpcapi.RequestSpec `json:"request_spec"`
	}) (any, error) {
		return nil, m.BuildAndRunInstance(ctx, rpcapi.BuildArgs{Instance: args.Instance, Image: args.Image, RequestSpec: args.RequestSpec})
	})
	e.Methods["rebuild_instance"] = oslorpc.Func(func(ctx context.Context, args struct {
		Instance rpcapi.Instance `json:"instance"`
		ImageRef string          `json:"image_ref"`
	}) (any, error) {
		return nil, m.RebuildInstance(ctx, rpcapi.RebuildArgs{Instance: args.Instance, ImageRef: args.ImageRef})
	})
	return e
}
