package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/failure"
)

// Endpoint is an interface that a server offers: methods under a version, in a namespace. A server
// may have several, also in one namespace with different versions, and of different major versions.
// A message goes to the first one that is compatible and has the method.
//
// The server's start checks the endpoints. A mistake in one is an error of kind [Invalid].
type Endpoint struct {
	// Namespace is the name of the interface; empty for the default namespace.
	Namespace string
	// LegacyNamespaces are further names, such as one that the interface had before. The empty
	// string is the default namespace.
	LegacyNamespaces []string
	// Version is the version that the endpoint implements, as "major.minor"; empty for 1.0.
	Version string
	// Methods are methods by the names that messages ask for. [WithAccessPolicy] decides which of
	// them messages can ask for: by default, those whose names do not begin with an underscore.
	Methods map[string]Method
	// Struct has the methods of a Go value, as [Methods] returns them. An endpoint may have both
	// Methods and Struct, without a name that is in both. The zero value has no methods.
	Struct StructMethods
	// Fallback takes the methods that the endpoint does not have, in this endpoint's place in the
	// order, as a proxy does. [MessageFrom] tells it which method a message asks for. Names that
	// begin with an underscore reach it only with [AllowAll]. With [AllowExposed] it must be marked
	// with [Method.Expose]. The zero value is none.
	Fallback Method
	// Since is the version in which the whole endpoint appeared, such as another namespace; empty
	// if it is not known. It informs, as [Method.Since] does.
	Since string
	// Deprecated is the version in which the whole endpoint was deprecated, such as an old
	// namespace; empty if it is not. It informs, as [Method.Deprecated] does.
	Deprecated string
}

// described returns the endpoint as the server's start checks and builds it.
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

// invalidUse is the error for a wrong use of the library.
func invalidUse(format string, args ...any) error { return failure.Invalid(format, args...) }
