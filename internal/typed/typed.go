// Package typed implements the version rules of typed services: it reads the options in protobuf
// declarations, and computes which version a message needs. It has no state and no side effects.
// The client, the server and the interceptors use it.
//
// A rule within a method counts only if its version is later than the method's. Every server that
// has the method is at least that new, so earlier rules neither raise the needed version nor permit
// dropping. Extension fields are ignored.
package typed

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Delivery is how a method's messages are delivered.
type Delivery uint8

// These are the deliveries.
const (
	// Call goes to one server, which answers with the result. Methods with streams use it, too.
	Call Delivery = iota
	// Cast goes to one server, which answers when it has accepted the message.
	Cast
	// Fanout goes to every server. Each answers when it has accepted the message.
	Fanout
)

// Service has the options of a service. It is immutable.
type Service struct {
	// Name is the full protobuf name.
	Name string
	// Topic is the topic in the options, empty if they have none.
	Topic string
	// Namespace is the namespace of its interface. A service without options uses its name.
	Namespace string
	// Version is the version that its file describes, 1.0 without options.
	Version rpc.Version
	// Methods are its methods by name.
	Methods map[string]*Method
}

// Method has the options of a method, and the rules of its messages. It is immutable.
type Method struct {
	Service *Service
	Name    string
	// Path is the gRPC path: "/package.Service/Method".
	Path string
	// Since is the version in which the method appeared, at least the .0 of the service's major
	// version.
	Since rpc.Version
	// Deprecated is the version in which the method was deprecated, at least the .0 of the
	// service's major version. It is zero if the method is not deprecated.
	Deprecated rpc.Version
	Delivery   Delivery
	// ClientStreams and ServerStreams say which sides send a stream.
	ClientStreams, ServerStreams bool

	input protoreflect.MessageDescriptor
	plan  *plan // of input
}

// Need says which versions a message can be sent at.
type Need struct {
	// Version is the version that the unchanged message needs.
	Version rpc.Version
	// Floor is the version that the message needs without all droppable elements. It equals Version
	// if dropping changes nothing. Elements within droppable elements do not count.
	Floor rpc.Version
}

// Element is a part of a message that a version lacks.
type Element struct {
	// Path is the path of the element, such as "disks[3].serial", "roles[\"a\"].mode",
	// "driver.(dhcp.v1.Lease).time", or with the name of an enum value "mode: MODE_FAST". It is
	// empty for the method itself.
	Path  string
	Since rpc.Version
}
