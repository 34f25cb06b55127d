package dispatch

import "github.com/oslorpc/oslorpc/pkg/rpc"

// Request is a message as the server sees it, whatever carried it.
type Request struct {
	// Delivery says how the message came: as a call, a cast, a multicall or a stream. Call takes the
	// last item of a call, and all items of the others.
	Delivery rpc.Delivery
	// Target is the receiver: exchange, topic, namespace, version and server, each empty if it is not
	// given.
	Target rpc.Target
	// Version is the version that the message asks for. A message without one asks for 1.0.
	Version rpc.Version
	// Method is the method's name.
	Method string
	// Kwargs and Context are the texts of JSON objects; Context may be empty.
	Kwargs, Context string
	// ID identifies the message; empty if the server cannot tell it from a repeated one.
	ID string
	// OrderKey makes messages with the same key run one after the other, in the order in which the
	// server accepts them; empty for none.
	OrderKey string
	// Caller is the name that the sender's program gives itself; [UnknownCaller] if it gives none.
	Caller string
	// Typed is what a message of a typed service has in place of keyword arguments; nil for others.
	Typed *Typed
}

// Typed is the part of a message of a typed service that its carrier has decoded.
type Typed struct {
	// Service is the service's full protobuf name.
	Service string
	// Invoke runs the method.
	Invoke Invocation
	// Size is what the message counts for in the queue, in bytes.
	Size int
}

// size is what the message counts for in the queue.
func (r *Request) size() int {
	n := len(r.Kwargs) + len(r.Context) + len(r.Method) + len(r.OrderKey)
	if r.Typed != nil {
		n += r.Typed.Size
	}
	return n
}
