// Package endpoint builds the dispatchable methods of a server from Go functions and from the
// methods of Go values.
//
// It checks everything when a server starts: the signatures of functions, names, versions, and
// marks. Mistakes are errors of kind [rpc.Invalid].
package endpoint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Endpoint describes an interface that a server offers, as the program defines it.
type Endpoint struct {
	// Namespace and LegacyNamespaces are the names of the interface.
	Namespace        string
	LegacyNamespaces []string
	// Version is the version that the endpoint implements; empty for 1.0.
	Version string
	// Methods and Struct have the methods. A name must not be in both.
	Methods map[string]Method
	Struct  Struct
	// Fallback handles all other methods. The zero value means none.
	Fallback Method
	// Since and Deprecated are the versions in which the endpoint appeared and was deprecated.
	Since, Deprecated string
}

// Build checks the endpoint and converts it for the dispatcher. An error is of kind [rpc.Invalid].
func (e Endpoint) Build() (dispatch.Endpoint, error) {
	built := dispatch.Endpoint{
		Namespaces: append([]string{e.Namespace}, e.LegacyNamespaces...),
		Methods:    map[string]*dispatch.Method{},
		Fallback:   e.Fallback.impl,
	}
	if e.Fallback.err != nil {
		return built, fmt.Errorf("fallback of endpoint %q: %w", e.Namespace, e.Fallback.err)
	}
	for _, namespace := range built.Namespaces {
		if err := (rpc.Target{Namespace: namespace}).Validate(); err != nil {
			return built, err
		}
	}
	var err error
	if built.Version, err = rpc.VersionOrDefault(e.Version); err != nil {
		return built, failure.Invalid("endpoint %q: %v", e.Namespace, err)
	}
	ofStruct, err := e.Struct.methods()
	if err != nil {
		return built, err
	}
	for _, methods := range []map[string]Method{e.Methods, ofStruct} {
		for _, name := range slices.Sorted(maps.Keys(methods)) {
			if err := e.add(&built, name, methods[name]); err != nil {
				return built, err
			}
		}
	}
	return built, e.buildHistory(&built)
}

// add checks a method and adds it.
func (e Endpoint) add(built *dispatch.Endpoint, name string, m Method) error {
	switch {
	case m.err != nil:
		return fmt.Errorf("method %q: %w", name, m.err)
	case rpc.ValidateMethod(name) != nil:
		return failure.Invalid("endpoint %q: %v", e.Namespace, rpc.ValidateMethod(name))
	case m.impl == nil:
		return failure.Invalid("method %q is empty: make it with Func or Stream", name)
	case built.Methods[name] != nil:
		return failure.Invalid("endpoint %q has method %q in Methods and in Struct: leave one out, or rename it with Rename", e.Namespace, name)
	}
	built.Methods[name] = m.impl
	return nil
}
