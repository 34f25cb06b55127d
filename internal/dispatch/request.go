package dispatch

import (
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Request is a message as the server sees it, whatever carried it.
type Request struct {
	// Delivery is the kind of the message: a call, a cast, a multicall or a stream. Of a call, the
	// sender gets only the last item of the result.
	Delivery rpc.Delivery
	// Target is the receiver: exchange, topic, namespace, version and server, each empty if it is
	// not given.
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
	// From is the caller whose share of the workers and of the queue bounds the message; nil for no
	// bound.
	From *limits.Caller
	// Monitored is true for a call with heartbeats.
	Monitored bool
	// HasContext says that the Go context of the message already has the request context.
	HasContext bool
	// Typed replaces the keyword arguments in a message of a typed service.
	Typed Typed
	// Instance is the server that runs the message; nil if it is not known.
	Instance *rpc.Instance
	// Ended is called when a cast has ended, whatever its outcome, and its content is no longer
	// needed; nil for none.
	Ended func()
	// Origin tells where the message came from; nil if unknown.
	Origin Origin
	// InPlace lets Call run the method on the goroutine of its caller. If it is nil, the method gets
	// its own goroutine.
	InPlace Exiter
	// Accepter lets Cast run the method on the goroutine of its caller. If it is nil, the method gets
	// its own goroutine.
	Accepter Accepter

	described *rpc.Message // nil until something asks for it
}

// Typed is the part of a message of a typed service that its carrier has decoded.
type Typed struct {
	// Service is the service's full protobuf name; empty for a message that is not typed.
	Service string
	// Invoke runs the method.
	Invoke Invocation
	// Arguments are what the method gets; nil for a stream.
	Arguments any
	// Size is the size of the message in the queue, in bytes.
	Size int
}

// Origin tells where a message came from, if an interceptor or a method asks.
type Origin interface {
	// Metadata is the metadata of the message, without the headers that this library uses.
	Metadata() rpc.Metadata
	// Peer is the process at the other end of the connection.
	Peer() rpc.Peer
}

// Exiter answers the sender of a message whose method runs on the carrier's goroutine and ends it.
type Exiter interface {
	// Exited answers with err when the method ends its goroutine (runtime.Goexit). The ending
	// goroutine calls it.
	Exited(err error)
}

// Accepter answers the sender of a cast whose method runs on the carrier's goroutine.
type Accepter interface {
	// Accepted answers that the cast was accepted, before its method runs.
	Accepted()
}

// isTyped reports whether the message is for a method of a typed service.
func (r *Request) isTyped() bool { return r.Typed.Service != "" }

// sender returns a key for the identity that the sender proved. It is empty for a sender that
// proved nothing.
func (r *Request) sender() string {
	if r.Origin == nil {
		return ""
	}
	return r.Origin.Peer().Identity.Key()
}

// kwargs returns the keyword arguments as the text of a JSON object.
func (r *Request) kwargs() string {
	if r.Kwargs == "" {
		return "{}"
	}
	return r.Kwargs
}

// Describe returns the message as interceptors and methods see it.
func (r *Request) Describe() *rpc.Message {
	if r.described == nil {
		r.described = r.describe()
	}
	return r.described
}

func (r *Request) describe() *rpc.Message {
	m := &rpc.Message{
		Target: r.Target, Method: r.Method, Delivery: r.Delivery, Monitored: r.Monitored, Service: r.Typed.Service,
		ID: r.ID, OrderKey: r.OrderKey, Caller: r.Caller, Arguments: r.Typed.Arguments,
	}
	m.Target.Version = r.Version.String()
	if !r.isTyped() {
		m.Arguments = r.kwargs()
	}
	if i := r.Instance; i != nil {
		m.Target.Exchange, m.Target.Topic = i.Exchange, i.Topic
		m.Server, m.InstanceID = i.Server, i.ID
	}
	if r.Origin != nil {
		m.Metadata, m.Peer = r.Origin.Metadata(), r.Origin.Peer()
	}
	return m
}

// size is the size of the message in the queue.
func (r *Request) size() int {
	return len(r.Kwargs) + len(r.Context) + len(r.Method) + len(r.OrderKey) + r.Typed.Size
}

// end calls Ended, if it is set.
func (r *Request) end() {
	if r.Ended != nil {
		r.Ended()
	}
}
