package novarpc

import (
	"context"
	"iter"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Call calls a method on one host and returns its result: on any host of a topic, or on the host of
// the queue. It waits until the deadline of ctx, or for [oslorpc.DefaultCallTimeout]. If the method
// has several results, it returns the last.
func Call[R any](ctx context.Context, r *RPC, queue Queue, msg Msg) (R, error) {
	return oslorpc.Call[R](ctx, r.client(queue, msg), msg.Method, msg.Args)
}

// Multicall calls a method on one host and yields its results as they arrive. The message is sent
// when the iteration begins, which can be done once. Breaking out of the loop cancels the method. A
// failure is the last value.
func Multicall[T any](ctx context.Context, r *RPC, queue Queue, msg Msg) iter.Seq2[T, error] {
	return oslorpc.Multicall[T](ctx, r.client(queue, msg), msg.Method, msg.Args)
}

// Cast runs a method on one host without waiting for its result: Cast returns when a host has
// accepted the message.
func (r *RPC) Cast(ctx context.Context, queue Queue, msg Msg) error {
	return r.client(queue, msg).Cast(ctx, msg.Method, msg.Args)
}

// FanoutCast runs a method on all hosts of a topic without waiting for results. Unlike nova.rpc, it
// reports which hosts accepted the message. It is no error if there are none.
func (r *RPC) FanoutCast(ctx context.Context, topic Queue, msg Msg) (*oslorpc.Report, error) {
	if topic.host != "" {
		return nil, invalid(oslorpc.InvalidTarget, "a fanout goes to all hosts on a topic, and %q is the queue of one: use Topic(%q), or Cast",
			topic, topic.topic)
	}
	return r.client(topic, msg).Fanout(ctx, msg.Method, msg.Args)
}

// client returns the client that sends msg to queue.
func (r *RPC) client(queue Queue, msg Msg) *oslorpc.Client {
	known, ok := r.clients.Load(queue.topic)
	if !ok {
		known, _ = r.clients.LoadOrStore(queue.topic, r.transport.Client(oslorpc.Target{Topic: queue.topic}, r.options...))
	}
	return known.(*oslorpc.Client).Prepare(
		oslorpc.WithServer(queue.host), oslorpc.WithNamespace(msg.Namespace), oslorpc.WithVersion(msg.Version))
}
