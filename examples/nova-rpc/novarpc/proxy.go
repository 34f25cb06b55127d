package novarpc

import (
	"reflect"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A proxy is the struct whose methods messages ask for; Nova's proxies are its managers. Its
// exported methods of the shapes that [oslorpc.Methods] knows are remote methods, under their names
// in snake case.

// Versioned is what a proxy implements to say the version of its interface, "major.minor", as the
// attribute RPC_API_VERSION. It is 1.0 otherwise.
type Versioned interface{ RPCAPIVersion() string }

// Namespaced is what a proxy implements if its interface has a namespace, as the attribute
// RPC_API_NAMESPACE.
type Namespaced interface{ RPCAPINamespace() string }

// checkProxy reports what makes a proxy unusable.
func checkProxy(proxy any) error {
	switch {
	case proxy == nil:
		return invalid(oslorpc.Invalid, "the proxy is nil: give the struct whose methods are to be called")
	case !reflect.ValueOf(proxy).Comparable():
		return invalid(oslorpc.Invalid, "proxies of type %T cannot be told apart: give a pointer to it", proxy)
	}
	return nil
}

// endpoint returns a proxy as an endpoint of a server.
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
