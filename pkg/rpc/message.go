package rpc

import (
	"crypto/tls"
	"strings"
)

// Delivery says how a message is delivered.
type Delivery string

// The deliveries. A server sees each copy of a fanout as a cast, and each copy of a gather as a
// call: a copy is a message of its own.
const (
	// DeliveryCall sends to one server, which answers with one result.
	DeliveryCall Delivery = "call"
	// DeliveryCast sends to one server, which answers when it has accepted the message.
	DeliveryCast Delivery = "cast"
	// DeliveryFanout sends to every server on a topic. Each answers when it has accepted its copy.
	DeliveryFanout Delivery = "fanout"
	// DeliveryGather sends to every server on a topic. Each answers with one result.
	DeliveryGather Delivery = "gather"
	// DeliveryMulticall sends to one server, which answers with any number of results: a dynamic
	// multicall, or a typed method that streams its results.
	DeliveryMulticall Delivery = "multicall"
	// DeliveryStream is a typed method that takes a stream of messages, whatever it answers.
	DeliveryStream Delivery = "stream"
	// DeliveryInspect is a question to a process about itself: its method is Ping or GetInfo. It
	// runs no method, so only [Interceptor.Accept] sees it. Other processes ping an instance that a
	// registry lost, so a process that refuses pings may be forgotten earlier.
	DeliveryInspect Delivery = "inspect"
	// DeliveryAttach is a question to a gateway: may a process attach this server? Only policies see
	// it. A rule that names no deliveries does not allow it: to be sent messages is more than to
	// send them.
	DeliveryAttach Delivery = "attach"
)

// Message describes a message to an [Interceptor], and to the method that it runs. Nothing but its
// metadata may be changed, and that only by interceptors of a client. It must not be kept after the
// interceptor returns.
type Message struct {
	// Target is the receiver. Exchange and Topic are always set, but for [DeliveryInspect]. Version
	// is the version that the message asks for. At a client it is empty if the message asks for
	// none, and it may change with the instance: see [Variants] of package oslorpc, and typed
	// services. At a server it is always set: a message without a version asks for 1.0, and one of
	// a typed service for the first version of the service's major version.
	Target Target
	// Method is the method's name.
	Method string
	// Delivery says how the message is delivered.
	Delivery Delivery
	// Monitored is true for a call that heartbeats accompany.
	Monitored bool
	// Service is the full protobuf name of a typed service. It is empty for dynamic messages.
	Service string
	// ID identifies the message. It is empty if the message has none: most typed calls have none.
	ID string
	// OrderKey makes messages with the same key run one after the other; empty for none.
	OrderKey string
	// Server, InstanceID and Addr are the instance: at a client the one that this attempt goes to,
	// empty until one is chosen; at a server the one that got the message, without an address.
	Server, InstanceID, Addr string
	// Attempt counts the attempts of a client to hand the message to an instance, from 1. It is 0
	// in [Interceptor.Send] and at servers.
	Attempt int
	// Caller is the name that the sender's program gives itself. Nothing proves it. At a client it
	// is the client's own.
	Caller string
	// Peer is the process at the other end of the connection. At a client it is known when the
	// attempt has ended.
	Peer Peer
	// Metadata travels beside the message: at a client what the program added to its context, and
	// what interceptors add; at a server what arrived, without the headers that this library, gRPC
	// and HTTP read themselves. At a server it is nil if nothing arrived.
	Metadata Metadata
	// Arguments are the text of a JSON object for a dynamic message, as a string, and the
	// proto.Message of a typed one. They are nil in [Interceptor.Send] of a message with variants,
	// for a stream, whose messages come later, and at servers for all typed methods that stream.
	Arguments any
}

// Peer is what a connection says of the process at its other end.
type Peer struct {
	// Addr is its network address, such as "10.0.0.7:51413".
	Addr string
	// TLS is what the handshake proved; nil for a connection without TLS. It must not be changed.
	TLS *tls.ConnectionState
	// Identity is what the peer proved. At a client it is the identity of the server's process.
	Identity Identity
	// Via is the gateway that forwarded the message of this peer, and said what Addr and Identity
	// are; the server trusts it to. It is nil for a message that came directly.
	Via *Peer
}

// Metadata are named values that travel beside a message. Names are in lower case; the methods see
// to that. The values of names that end in "-bin" may be any bytes; others are printable ASCII.
// Names that begin with "oslorpc-" or "grpc-" are reserved, and are left out. So is "authorization"
// at a server with trust.Config.Tokens. A client with trust.Config.TokenFile refuses a message that
// has it, with the kind [Invalid].
type Metadata map[string][]string

// Get returns the first value of a name, "" if there is none.
func (m Metadata) Get(name string) string {
	if values := m[strings.ToLower(name)]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set gives a name one value, in place of any others.
func (m Metadata) Set(name, value string) { m[strings.ToLower(name)] = []string{value} }

// Add gives a name one more value.
func (m Metadata) Add(name, value string) {
	name = strings.ToLower(name)
	m[name] = append(m[name], value)
}

// Delete removes a name.
func (m Metadata) Delete(name string) { delete(m, strings.ToLower(name)) }
