// Package typed is the version rules of typed services: what the options of their protobuf
// declarations say, and which version a message needs. It is pure: the client, the server and the
// interceptors ask it.
//
// The rules of a method count only if they are later than the method itself: no server that has the
// method is older than the others, so that those neither raise what a message needs nor permit
// dropping. Extension fields are not looked at.
package typed

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Delivery says how a method's messages travel.
type Delivery uint8

// The deliveries.
const (
	// Call goes to one server, and is answered with its result; with streams as well.
	Call Delivery = iota
	// Cast goes to one server, and is answered when accepted.
	Cast
	// Fanout goes to every server, and is answered when accepted.
	Fanout
)

// Service is what the options of a service say. It is immutable.
type Service struct {
	// Name is its full protobuf name.
	Name string
	// Topic is where it is served; empty if the options do not say.
	Topic string
	// Namespace is its interface. A service without options has its own name as its namespace.
	Namespace string
	// Version is the version that its file describes, 1.0 without options.
	Version rpc.Version
	// Methods are its methods by name.
	Methods map[string]*Method
}

// Method is what the options of a method say, and the rules of its messages. It is immutable.
type Method struct {
	Service *Service
	Name    string
	// Path is how gRPC names it: "/package.Service/Method".
	Path string
	// Since is the version in which it appeared, at least the .0 of the service's major version.
	Since rpc.Version
	// Deprecated is the version since which it is deprecated, at least the .0 of the service's
	// major version; zero if it is not.
	Deprecated rpc.Version
	Delivery   Delivery
	// ClientStreams and ServerStreams say which side sends a stream.
	ClientStreams, ServerStreams bool

	input protoreflect.MessageDescriptor
	plan  *plan // of input
}

// Need is which versions a message can be sent at.
type Need struct {
	// Version is what it needs as it is.
	Version rpc.Version
	// Floor is what it needs without everything that may be dropped: equal to Version if that
	// changes nothing. What is inside something that may be dropped does not count.
	Floor rpc.Version
}

// Element is a part of a message that a version does not have.
type Element struct {
	// Path is where it is, such as "disks[3].serial", "roles[\"a\"].mode",
	// "driver.(dhcp.v1.Lease).time", or with the name of an enum value "mode: MODE_FAST"; empty for
	// the method itself.
	Path  string
	Since rpc.Version
}
