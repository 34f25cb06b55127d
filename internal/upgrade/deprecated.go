package upgrade

import (
	"cmp"
	"slices"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// deprecations are the versions in which methods became deprecated. If servers disagree, the server
// with the newest version of the endpoint counts, because the others run older builds.
type deprecations map[methodKey]deprecation

// methodKey identifies a method of an interface. For a fallback, the method is empty.
type methodKey struct {
	rpc.Interface

	method string
}

// deprecation is an endpoint's report about a method.
type deprecation struct {
	endpoint rpc.Version // of the endpoint that reports it
	since    rpc.Version // zero if the method is not deprecated
}

func deprecationsOf(seen []Observation) deprecations {
	d := deprecations{}
	for _, o := range seen {
		for _, s := range o.Servers() {
			for _, e := range s.Endpoints {
				d.add(e)
			}
		}
	}
	return d
}

// add adds the report of an endpoint.
func (d deprecations) add(e rpc.EndpointInfo) {
	methods := e.Methods
	if e.Fallback != nil {
		methods = append(slices.Clone(methods), *e.Fallback)
	}
	for _, namespace := range e.Namespaces {
		at := rpc.Implementation{Namespace: namespace, Version: e.Version}.Interface()
		for _, method := range methods {
			key := methodKey{at, method.Name}
			if known, found := d[key]; !found || e.Version.Compare(known.endpoint) > 0 {
				d[key] = deprecation{e.Version, cmp.Or(method.DeprecatedSince, e.DeprecatedSince)}
			}
		}
	}
}

// of returns the version in which the requested method became deprecated, zero if it is not
// deprecated.
func (d deprecations) of(r *Request) rpc.Version {
	at := r.interfaceVersion().Interface()
	if listed, found := d[methodKey{at, r.Method}]; found {
		return listed.since
	}
	return d[methodKey{at, ""}].since
}
