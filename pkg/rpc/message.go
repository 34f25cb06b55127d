package rpc

import (
	"crypto/tls"
	"strings"
)

// Delivery says how a message is delivered.
type Delivery string

// The deliveries. A server sees each copy of a fanout as a cast, and each copy of a gather as a
// call, because each copy is a message of its own.
const (
	// DeliveryCall sends to one server, which answers with one result.
	DeliveryCall Delivery = "call"
	// DeliveryCast sends to one server, which answers once it has accepted the message.
	DeliveryCast Delivery = "cast"
	// DeliveryFanout sends to every server on a topic. Each answers once it has accepted its copy.
	DeliveryFanout Delivery = "fanout"
	// DeliveryGather sends to every server on a topic. Each answers with one result.
	DeliveryGather Delivery = "gather"
	// DeliveryMulticall sends to one server, which answers with any number of results: a dynamic
	// multicall, or a typed method that streams its results.
	DeliveryMulticall Delivery = "multicall"
	// DeliveryStream is a typed method that receives a stream of messages, and returns one message
	// or a stream.
	DeliveryStream Delivery = "stream"
	// DeliveryInspect is a request to a process for information about itself: the method Ping or
	// GetInfo. It runs no method of the program, so only [Interceptor.Accept] sees it. Other
	// processes ping an instance that is missing from the registry, and may forget it earlier if it
	// refuses pings.
	DeliveryInspect Delivery = "inspect"
	// DeliveryAttach is the question whether a process may attach a server to a gateway. Only
	// policies see it. A rule that names no deliveries does not allow it, because receiving
	// messages needs more trust than sending them.
	DeliveryAttach Delivery = "attach"
)

// Message describes a message to an [Interceptor], and to the method that it runs. It is read-only,
// except that interceptors of a client may change Metadata. It must not be kept after the
// interceptor returns.
type Message struct {
	// Target is the receiver. Exchange and Topic are always set, except for [DeliveryInspect].
	// Version is the version that the message asks for. At a client, Version is empty if the
	// message asks for none. It may differ between instances: see typed services and [Variants] of
	// package oslorpc. At a server, Version is always set: a message without a version asks for
	// 1.0. A message of a typed service without a version asks for the first version of the
	// service's major version.
	Target Target
	// Method is the method's name.
	Method string
	// Delivery says how the message is delivered.
	Delivery Delivery
	// Monitored is true for a call with heartbeats.
	Monitored bool
	// Service is the full protobuf name of a typed service. It is empty for dynamic messages.
	Service string
	// ID identifies the message. It is empty if the message has none: most typed calls have none.
	ID string
	// OrderKey makes messages with the same key run one after the other. It is empty for no order.
	OrderKey string
	// Server, InstanceID and Addr name the instance. At a client, they name the instance that this
	// attempt goes to, and are empty until it is chosen. At a server, they name the instance that
	// received the message, and Addr is empty.
	Server, InstanceID, Addr string
	// Attempt counts the client's attempts to deliver the message, from 1. It is 0 in
	// [Interceptor.Send] and at servers.
	Attempt int
	// Caller is the name that the sending program claims. Nothing proves it. At a client, it is the
	// client's own name.
	Caller string
	// Peer is the process at the other end of the connection. At a client, it is set when the
	// attempt has ended.
	Peer Peer
	// Metadata travels with the message. At a client, it is what the program added to its context,
	// and what interceptors add. At a server, it is what arrived, without the headers that this
	// library, gRPC and HTTP use. At a server, it is nil if nothing arrived.
	Metadata Metadata
	// Arguments are a string with the text of a JSON object for a dynamic message, and the
	// proto.Message of a typed message. They are nil in [Interceptor.Send] of a message with
	// variants, at servers for all typed methods that stream, and for a stream, whose messages come
	// later.
	Arguments any
}

// Peer describes the process at the other end of a connection.
type Peer struct {
	// Addr is its network address, such as "10.0.0.7:51413".
	Addr string
	// TLS is the state of the TLS connection. It is nil for a connection without TLS. It must not
	// be changed.
	TLS *tls.ConnectionState
	// Identity is what the peer proved. At a client, it is the identity of the server's process.
	Identity Identity
	// Via is the gateway that forwarded the message. The server trusts this gateway to say what
	// Addr and Identity of the peer are. Via is nil for a message that came directly.
	Via *Peer
}

// Metadata are named values that travel with a message. Names are in lower case; the methods
// convert them. The values of names that end in "-bin" may be any bytes; other values are printable
// ASCII. Names that begin with "oslorpc-" or "grpc-" are reserved and left out. A server with
// trust.Config.Tokens also leaves out "authorization". A client with trust.Config.TokenFile refuses
// a message that has "authorization", with the kind [Invalid].
type Metadata map[string][]string

// Get returns the first value of a name, or "" if there is none.
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
