package novarpc

import (
	"reflect"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A proxy is the struct with the remote methods; Nova's proxies are its managers. Its exported
// methods with a signature that [oslorpc.Methods] accepts are remote methods, under their names in
// snake case.

// Versioned is implemented by proxies that set the version of their interface, "major.minor", as
// the attribute RPC_API_VERSION does. The default is 1.0.
type Versioned interface{ RPCAPIVersion() string }

// Namespaced is implemented by proxies whose interface has a namespace, as the attribute
// RPC_API_NAMESPACE does.
type Namespaced interface{ RPCAPINamespace() string }

// checkProxy returns an error if a proxy is not usable.
func checkProxy(proxy any) error {
	switch {
	case proxy == nil:
		return invalid(oslorpc.Invalid, "the proxy is nil: give the struct whose methods are to be called")
	case !reflect.ValueOf(proxy).Comparable():
		return invalid(oslorpc.Invalid, "proxies of type %T cannot be told apart: give a pointer to it", proxy)
	}
	return nil
}

// endpoint returns the endpoint for a proxy.
func endpoint(proxy any) oslorpc.Endpoint {
	e := oslorpc.Endpoint{Struct: oslorpc.Methods(proxy)}
	if v, ok := proxy.(Versioned); ok {
		e.Version = v.RPCAPIVersion()
	}
	if n, ok := proxy.(Namespaced); ok {
		e.Namespace = n.RPCAPINamespace()
	}
	return e
}
