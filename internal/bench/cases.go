package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the size of the arguments, the length of a stream, and the number of servers of a
// fanout.
const (
	payloadSize = 1 << 10
	itemSize    = 100
	streamItems = 1000
	fanoutSize  = 64
)

var cases = []testCase{
	{[]string{"call-1k-1"}, versusRaw(callEcho, 1), ratio},
	{[]string{"call-1k-64"}, versusRaw(callEcho, 64), ratio},
	{[]string{"policy-1k-64"}, versusTLS(callEcho, 64), ratio},
	{[]string{"call-struct-1"}, versusRaw(callStruct, 1), ratio},
	{[]string{"call-struct-64"}, versusRaw(callStruct, 64), ratio},
	{[]string{"codec-encode-ns", "codec-decode-ns"}, codec, absolute},
	{[]string{"typed-1k-1"}, versus(typedCall, 1, stubCounterpart), ratio},
	{[]string{"typed-1k-64"}, versus(typedCall, 64, stubCounterpart), ratio},
	{[]string{"typed-bytes-1"}, versusRaw(typedCall, 1), ratio},
	{[]string{"typed-bytes-64"}, versusRaw(typedCall, 64), ratio},
	{[]string{"cap-fixed-ns", "cap-auto-ns"}, caps, absolute},
	{[]string{"multicall-item"}, versusRaw(multicall, 1), ratio},
	{[]string{"fanout-64"}, versusRaw(fanout, 1), ratio},
	{[]string{"pick-10-ns", "pick-10000-ns", "pick-ratio"}, picks, absoluteAndRatio},
}

// operation is one operation of oslorpc, with the data that its counterpart needs.
type operation struct {
	// servers is the number of servers. Each has a separate transport and listener.
	servers int
	method  oslorpc.Method
	// services registers typed services, if there are any.
	services func(grpc.ServiceRegistrar)
	do       func(ctx context.Context, c *oslorpc.Client) error
	// items is the number of items of a stream. It is 0 if the counterpart is a unary call.
	items int
}

// jsonText returns a JSON text of n bytes. Like arguments, it is an object.
func jsonText(n int) oslorpc.Raw {
	const frame = `{"data":""}`
	return oslorpc.Raw(`{"data":"` + strings.Repeat("x", n-len(frame)) + `"}`)
}

// callEcho sends arguments that are already encoded, and gets them back.
var callEcho = operation{
	servers: 1,
	method:  oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
	do: func() func(context.Context, *oslorpc.Client) error {
		args := jsonText(payloadSize)
		return func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[oslorpc.Raw](ctx, c, method, args)
			return err
		}
	}(),
}

// callStruct sends nested arguments from a struct, which the server decodes into a struct. The
// result is a number.
var callStruct = operation{
	servers: 1,
	method:  oslorpc.Func(func(_ context.Context, args nested) (int, error) { return len(args.Volumes), nil }),
	do: func() func(context.Context, *oslorpc.Client) error {
		args := newNested()
		return func(ctx context.Context, c *oslorpc.Client) error {
			_, err := oslorpc.Call[int](ctx, c, method, args)
			return err
		}
	}(),
}

// multicall receives a stream of small items that are already encoded. The raw counterpart receives
// opaque bytes.
var multicall = operation{
	servers: 1,
	method: oslorpc.Stream(func(context.Context, oslorpc.NoArgs) iter.Seq2[oslorpc.Raw, error] {
		item := jsonText(itemSize)
		return func(yield func(oslorpc.Raw, error) bool) {
			for range streamItems {
				if !yield(item, nil) {
					return
				}
			}
		}
	}),
	do: func(ctx context.Context, c *oslorpc.Client) error {
		ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
		defer cancel()
		n := 0
		for _, err := range oslorpc.Multicall[oslorpc.Raw](ctx, c, method, nil) {
			if err != nil {
				return err
			}
			n++
		}
		if n != streamItems {
			return fmt.Errorf("%d items came", n)
		}
		return nil
	},
	items: streamItems,
}

// fanout sends to many servers. Its counterpart is one call.
var fanout = operation{
	servers: fanoutSize,
	method:  oslorpc.Func(func(context.Context, oslorpc.Raw) (oslorpc.Raw, error) { return "null", nil }),
	do: func() func(context.Context, *oslorpc.Client) error {
		args := jsonText(payloadSize)
		return func(ctx context.Context, c *oslorpc.Client) error {
			report, err := c.Fanout(ctx, method, args)
			if err != nil {
				return err
			}
			if len(report.Accepted) != fanoutSize {
				return fmt.Errorf("%d servers accepted: %w", len(report.Accepted), report.Err())
			}
			return nil
		}
	}(),
}

// These are the parts of the address of all messages.
const (
	url     = "memory://bench"
	topic   = "bench"
	version = "1.0"
	method  = "do"
)

// counterpart prepares the operation with which another operation is compared. Undo releases it.
type counterpart func(ctx context.Context, o operation) (do func(context.Context) error, undo func() error, err error)

// versusRaw compares an operation with an RPC of opaque bytes.
func versusRaw(o operation, callers int) func(context.Context) (a, b compare.Workload, cleanup func() error, err error) {
	return versus(o, callers, rawCounterpart)
}

// versus prepares an operation and its counterpart.
func versus(o operation, callers int, other counterpart) func(context.Context) (a, b compare.Workload, cleanup func() error, err error) {
	return func(ctx context.Context) (a, b compare.Workload, cleanup func() error, err error) {
		var opened closers
		defer func() {
			if err != nil {
				_ = opened.close() // the other error counts
			}
		}()
		for i := range o.servers {
			t, err := oslorpc.Open(url, oslorpc.WithStopGrace(0))
			if err != nil {
				return a, b, nil, err
			}
			opened = append(opened, t.Close)
			if err := serve(ctx, t, fmt.Sprint("server-", i), o); err != nil {
				return a, b, nil, err
			}
		}
		do, undo, err := other(ctx, o)
		if err != nil {
			return a, b, nil, err
		}
		opened = append(opened, undo)
		t, err := oslorpc.Open(url)
		if err != nil {
			return a, b, nil, err
		}
		opened = append(opened, t.Close)
		client := newClient(t)
		a = compare.Workload{Do: func() error { return o.do(ctx, client) }, Callers: callers, Ops: max(o.items, 1)}
		b = compare.Workload{Do: func() error { return do(ctx) }, Callers: callers, Ops: max(o.items, 1)}
		return a, b, opened.close, nil
	}
}

// rawCounterpart returns an RPC of opaque bytes, or a stream of them. It observes the operation
// first, so that its messages have the same size.
func rawCounterpart(ctx context.Context, o operation) (do func(context.Context) error, undo func() error, err error) {
	size, err := observe(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	r, err := compare.NewRaw(ctx, size, o.items)
	if err != nil {
		return nil, nil, err
	}
	if o.items > 0 {
		return r.Stream, r.Close, nil
	}
	return r.Call, r.Close, nil
}

// serve starts a server with one method.
func serve(ctx context.Context, t *oslorpc.Transport, name string, o operation) error {
	s := t.Server(oslorpc.Target{Topic: topic, Server: name})
	if o.services != nil {
		o.services(s)
	} else {
		s.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{method: o.method}})
	}
	return s.Start(ctx)
}

func newClient(t *oslorpc.Transport) *oslorpc.Client {
	return t.Client(oslorpc.Target{Topic: topic, Version: version}, oslorpc.WithTimeout(compare.Deadline))
}

// observe runs an operation once and returns the sizes of its messages.
func observe(ctx context.Context, o operation) (compare.Sizes, error) {
	var seen compare.Observer
	t, err := oslorpc.Open(url, oslorpc.WithDialOptions(grpc.WithStatsHandler(&seen)))
	if err != nil {
		return compare.Sizes{}, err
	}
	err = o.do(ctx, newClient(t))
	return seen.Sizes(), errors.Join(err, closers{t.Close}.close())
}

// closers are functions that release resources. They are called in reverse order.
type closers []func() error

func (c closers) close() (err error) {
	for _, f := range slices.Backward(c) {
		if e := f(); err == nil {
			err = e
		}
	}
	return err
}

func nothingToClose() error { return nil }

// batch is how many operations are timed together if one is too short for the clock.
const batch = 100

// codec compares nothing. It reports separately what encoding and decoding the arguments of
// callStruct cost.
func codec(context.Context) (encode, decode compare.Workload, cleanup func() error, err error) {
	args := newNested()
	text, err := payload.MarshalArgs(args)
	if err != nil {
		return encode, decode, nil, err
	}
	encode = compare.Workload{Callers: 1, Ops: batch, Do: func() error {
		for range batch {
			if _, err := payload.MarshalArgs(args); err != nil {
				return err
			}
		}
		return nil
	}}
	decode = compare.Workload{Callers: 1, Ops: batch, Do: func() error {
		for range batch {
			if err := payload.UnmarshalArgs(text, &nested{}); err != nil {
				return err
			}
		}
		return nil
	}}
	return encode, decode, nothingToClose, nil
}

// picks compares choosing a server in a large fleet with choosing one in a small fleet.
func picks(context.Context) (small, large compare.Workload, cleanup func() error, err error) {
	return pick(10), pick(10000), nothingToClose, nil
}

// pick chooses an instance for a message to any server, in a fleet of n.
func pick(n int) compare.Workload {
	c := grpccarrier.New(grpccarrier.Config{})
	entries := make([]*route.Entry, n)
	for i := range entries {
		version := rpc.Version{Major: 1, Minor: uint32(i % 3)}
		entries[i] = &route.Entry{
			Instance: rpc.Instance{
				ID: fmt.Sprint("instance-", i), Server: fmt.Sprint("server-", i), State: rpc.StateActive,
				Implemented: []rpc.Implementation{{Version: version}},
			},
			Link: c.Get(carrier.Key{Addr: fmt.Sprint("192.0.2.1:", i)}), // nothing connects to it
		}
	}
	view := route.NewView(entries, 1)
	query := route.Query{Version: rpc.Version{Major: 1, Minor: 1}}
	turn := uint64(0)
	return compare.Workload{Callers: 1, Ops: batch, Do: func() error {
		for range batch {
			turn++
			var tried route.Tried
			if _, verdict := view.Any(query, turn, &tried); verdict != route.Found {
				return fmt.Errorf("no instance was picked: verdict %d", verdict)
			}
		}
		return nil
	}}
}

// nested is arguments of the size of a large call in Nova: there are eight, one of which is a list
// of ten objects.
type nested struct {
	InstanceID string   `json:"instance_id"`
	ImageID    string   `json:"image_id"`
	Host       string   `json:"host"`
	MemoryMB   int      `json:"memory_mb"`
	PowerOn    bool     `json:"power_on"`
	Ratio      float64  `json:"ratio"`
	AdminPass  *string  `json:"admin_pass"`
	Volumes    []volume `json:"volumes"`
}

type volume struct {
	ID       string  `json:"id"`
	Path     string  `json:"path"`
	SizeGB   int     `json:"size_gb"`
	Index    int     `json:"index"`
	Bootable bool    `json:"bootable"`
	Snapshot *string `json:"snapshot"`
}

func newNested() *nested {
	n := &nested{
		InstanceID: "0d6a1d8f-3b4e-4c55-9d0b-6a51f4b1c0aa", ImageID: "b3c9a2f0-9f2b-4f7e-8a5b-0f1e2d3c4b5a",
		Host: "compute-17.region-one.example.org", MemoryMB: 8192, PowerOn: true, Ratio: 1.5,
	}
	for i := range 10 {
		n.Volumes = append(n.Volumes, volume{
			ID: fmt.Sprintf("7f1e9a52-6d3c-4e8b-b1a0-2c3d4e5f60%02d", i), Path: fmt.Sprintf("/dev/disk/by-id/virtio-%02d", i),
			SizeGB: 20 * (i + 1), Index: i, Bootable: i == 0,
		})
	}
	return n
}
