package novarpc

import (
	"context"
	"iter"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Call has one host run a method and returns its result: any host on a topic, or the one whose
// queue it is. It waits until the deadline of ctx, or for [oslorpc.DefaultCallTimeout]. Of a method
// that makes several results it returns the last.
func Call[R any](ctx context.Context, r *RPC, queue Queue, msg Msg) (R, error) {
	return oslorpc.Call[R](ctx, r.client(queue, msg), msg.Method, msg.Args)
}

// Multicall has one host run a method and yields its results as they are made. The message is sent
// when the results are first ranged over, which can be done once; breaking out ends the method. A
// failure is the last thing yielded.
func Multicall[T any](ctx context.Context, r *RPC, queue Queue, msg Msg) iter.Seq2[T, error] {
	return oslorpc.Multicall[T](ctx, r.client(queue, msg), msg.Method, msg.Args)
}

// Cast has one host run a method without waiting for it: when Cast returns, a host has accepted the
// message.
func (r *RPC) Cast(ctx context.Context, queue Queue, msg Msg) error {
	return r.client(queue, msg).Cast(ctx, msg.Method, msg.Args)
}

// FanoutCast has all hosts on a topic run a method without waiting for them. Beyond nova.rpc, it
// reports which hosts accepted the message. That there are none is no error.
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
