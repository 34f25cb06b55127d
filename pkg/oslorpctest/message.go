package oslorpctest

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Delivery says how a message was sent; see [rpc.Delivery].
type Delivery = rpc.Delivery

// The deliveries. A server receives its copy of a fanout as a cast, and its copy of a gather as a
// call.
const (
	Call      = rpc.DeliveryCall
	Cast      = rpc.DeliveryCast
	Multicall = rpc.DeliveryMulticall
	Stream    = rpc.DeliveryStream
)

// Message is a message that a server accepted. Messages that the server refused, and repeated
// copies of a message, are not recorded.
type Message struct {
	// Topic is the topic of the server.
	Topic string
	// Server is the name of the server.
	Server string
	// Delivery is the delivery as the server sees it.
	Delivery Delivery
	// Method is the requested method.
	Method string
	// Namespace is the requested namespace. It is empty for the default namespace.
	Namespace string
	// Version is the requested version. It is 1.0 for a message without a version.
	Version oslorpc.Version
	// Args are the keyword arguments as the JSON object that was sent. A serializer of the client
	// has already been applied.
	Args oslorpc.Raw
	// Context is the request context. It is nil if the message has none.
	Context oslorpc.RequestContext
}

// Filter selects messages.
type Filter func(Message) bool

// At selects the messages that a server accepted.
func At(server string) Filter { return func(m Message) bool { return m.Server == server } }

// For selects the messages for a method.
func For(method string) Filter { return func(m Message) bool { return m.Method == method } }

// Messages returns the messages that servers of the fleet have accepted so far, in order of
// arrival. With filters, it returns only messages that pass all of them. A server accepts a message
// before it runs it.
func (f *Fleet) Messages(filters ...Filter) []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.selected(filters)
}

// Await waits until [Fleet.Messages] returns at least n messages, and returns them. If there are
// fewer after ten seconds, the test fails.
func (f *Fleet) Await(n int, filters ...Filter) []Message {
	f.t.Helper()
	var found []Message
	come := f.await(func() bool {
		found = f.selected(filters)
		return len(found) >= n
	})
	if !come {
		f.t.Fatalf("oslorpctest: of %d messages, %d arrived in time: %v", n, len(found), found)
	}
	return found
}

// selected returns the messages that pass all filters. The caller holds the lock.
func (f *Fleet) selected(filters []Filter) []Message {
	var found []Message
	for _, m := range f.messages {
		if !slices.ContainsFunc(filters, func(pass Filter) bool { return !pass(m) }) {
			found = append(found, m)
		}
	}
	return found
}

func (f *Fleet) record(at oslorpc.Target, r *dispatch.Request) {
	m := Message{
		Topic: at.Topic, Server: at.Server, Delivery: r.Delivery,
		Method: r.Method, Namespace: r.Target.Namespace, Version: r.Version, Args: oslorpc.Raw(r.Kwargs),
	}
	if ctx, err := msgcontext.WithText(context.Background(), r.Context); err == nil { // or the method will not run
		m.Context = oslorpc.ContextFrom(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages = append(f.messages, m)
	f.tell()
}
