package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/failure"
)

// Endpoint is an interface that a server offers: methods under a version, in a namespace. A server
// may have several endpoints, even in one namespace with different versions and different major
// versions. A message goes to the first endpoint that is compatible and has the method.
//
// The server's start checks the endpoints. A mistake is an error of kind [Invalid].
type Endpoint struct {
	// Namespace is the name of the interface; empty for the default namespace.
	Namespace string
	// LegacyNamespaces are further names of the interface, such as its former name. The empty
	// string is the default namespace.
	LegacyNamespaces []string
	// Version is the version that the endpoint implements, as "major.minor"; empty for 1.0.
	Version string
	// Methods are the methods by name. [WithAccessPolicy] decides which of them callers can call.
	// By default, these are the methods whose names do not begin with an underscore.
	Methods map[string]Method
	// Struct has the methods of a Go value, as [Methods] returns them. An endpoint may have both
	// Methods and Struct, but no name may be in both. The zero value has no methods.
	Struct StructMethods
	// Fallback handles the methods that the endpoint does not have, as a proxy does. It keeps the
	// endpoint's place in the order of endpoints. [MessageFrom] returns the message with the name
	// of the requested method. Names that begin with an underscore reach Fallback only with
	// [AllowAll]. With [AllowExposed], it must be marked with [Method.Expose]. The zero value means
	// no fallback.
	Fallback Method
	// Since is the version in which the whole endpoint appeared, such as another namespace. It is
	// empty if unknown. It is for information only, like [Method.Since].
	Since string
	// Deprecated is the version in which the whole endpoint was deprecated, such as an old
	// namespace. It is empty if the endpoint is not deprecated. It is for information only, like
	// [Method.Deprecated].
	Deprecated string
}

// described converts the endpoint to the internal type. The server's start checks it.
func (e Endpoint) described() endpoint.Endpoint {
	methods := make(map[string]endpoint.Method, len(e.Methods))
	for name, m := range e.Methods {
		methods[name] = m.built
	}
	return endpoint.Endpoint{
		Namespace: e.Namespace, LegacyNamespaces: e.LegacyNamespaces, Version: e.Version, Methods: methods,
		Struct: e.Struct.built, Fallback: e.Fallback.built, Since: e.Since, Deprecated: e.Deprecated,
	}
}

// invalidUse returns the error for a wrong use of the library.
func invalidUse(format string, args ...any) error { return failure.Invalid(format, args...) }
