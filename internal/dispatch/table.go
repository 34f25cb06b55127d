// Package dispatch runs messages in the server that they were sent to, however they got there: it
// selects the method, admits the message or refuses it, runs the method on a worker, and reports
// the outcome.
package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/similar"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Emit passes on one item of a method's result, as JSON text. An error means that the caller wants
// no more items, and the method should end.
type Emit func(item string) error

// Invocation is a method with its arguments. A plain method emits once, a streaming method once per
// item. A failure of the method itself is a *[MethodError]; every other error is an *rpc.Error.
type Invocation func(ctx context.Context, emit Emit) error

// Method is a method that messages can ask for.
type Method struct {
	// Prepare, if it is set, transforms the context and the keyword arguments for the method. An error
	// means that the method did not run.
	Prepare func(ctx context.Context, kwargs string) (context.Context, string, error)
	// Bind decodes the keyword arguments, the text of a JSON object. An error means that the method
	// did not run. Messages of a typed service bring their own invocations and need no Bind.
	Bind func(kwargs string) (Invocation, error)
	// Around, if it is set, wraps an invocation.
	Around func(Invocation) Invocation
	// Streaming methods emit any number of items.
	Streaming bool
	// Arguments, Extra and Result describe the method for people.
	Arguments []payload.Argument
	Extra     bool // unknown arguments are allowed
	Result    string
	// Exposed methods are allowed by AllowExposed.
	Exposed bool
	// Expected accept the errors that the method returns in normal operation. The log treats errors
	// that one of them accepts as unimportant.
	Expected []func(error) bool
	// Since and Deprecated are the versions in which the method appeared and was deprecated. They are
	// zero if unknown. They are only for information.
	Since, Deprecated rpc.Version
}

// Endpoint is an interface that a server offers: methods under a version, in one namespace or
// several.
type Endpoint struct {
	// Namespaces are its namespaces, the main one first. The empty string is the default namespace.
	Namespaces []string
	Version    rpc.Version
	// Service is the full protobuf name of a typed service. Its messages ask for it by that name. It
	// is empty for other endpoints.
	Service string
	Methods map[string]*Method
	// Fallback takes the methods that are not in Methods, if the policy allows their names; nil for
	// none. [InfoFrom] tells it which method a message asks for. Its counters have the empty name.
	Fallback *Method
	// Since and Deprecated are the versions in which the endpoint appeared and was deprecated; zero
	// if unknown. They are only for information.
	Since, Deprecated rpc.Version
}

// Counters count the messages of a method by outcome.
type Counters struct{ Started, Failed atomic.Int64 }

type selected struct {
	method   *Method
	counters *Counters
}

type endpoint struct {
	Endpoint
	counters map[string]*Counters
	policy   Policy
	// hidden are the methods that the policy hides. The fallback is not called for them, because a
	// hidden method must not be reachable in any way.
	hidden []string
}

// newEndpoint returns the part of an endpoint that a policy allows. It is computed once, so that
// messages do not pay for it.
func newEndpoint(e Endpoint, p Policy) endpoint {
	visible := endpoint{Endpoint: e, counters: make(map[string]*Counters, len(e.Methods)), policy: p}
	visible.Methods = make(map[string]*Method, len(e.Methods))
	for name, m := range e.Methods {
		if p.allows(name, m) {
			visible.Methods[name], visible.counters[name] = m, &Counters{}
		} else {
			visible.hidden = append(visible.hidden, name)
		}
	}
	if e.Fallback != nil && !p.allowsFallback(e.Fallback) {
		visible.Fallback = nil
	} else if e.Fallback != nil {
		visible.counters[""] = &Counters{}
	}
	return visible
}

// fallsBack reports whether the fallback is called for a method that is not listed.
func (e *endpoint) fallsBack(method string) bool {
	return e.Fallback != nil && e.policy.allowsUnlisted(method) && !slices.Contains(e.hidden, method)
}

// serves reports whether the endpoint has the namespace, and its version can serve messages of the
// given version.
func (e *endpoint) serves(namespace string, version rpc.Version) bool {
	return e.Version.Serves(version) && slices.Contains(e.Namespaces, namespace)
}

// Table selects the method for a message. It is immutable.
type Table struct {
	policy      Policy
	discreet    bool
	endpoints   []endpoint
	ping        *endpoint // nil if there is none beside the endpoints
	implemented []rpc.Implementation
}

// TableOption changes what a table serves.
type TableOption func(*Table)

// WithPolicy sets which methods can be asked for; the default is AllowPublic.
func WithPolicy(p Policy) TableOption { return func(t *Table) { t.policy = p } }

// WithoutNames makes errors about an unknown method or interface leave out the names of the known
// ones.
func WithoutNames() TableOption { return func(t *Table) { t.discreet = true } }

// NewTable returns the table for endpoints, which are tried in this order.
func NewTable(endpoints []Endpoint, options ...TableOption) *Table {
	t := &Table{}
	for _, o := range options {
		o(t)
	}
	for _, e := range endpoints {
		t.endpoints = append(t.endpoints, newEndpoint(e, t.policy))
		for _, ns := range e.Namespaces {
			t.addImplementation(rpc.Implementation{Namespace: ns, Version: e.Version})
		}
	}
	if t.hasOwnPing() {
		t.ping = nil
	}
	return t
}

func (t *Table) addImplementation(i rpc.Implementation) {
	if slices.Contains(t.implemented, i) {
		return
	}
	t.implemented = append(t.implemented, i)
}

// Implemented lists the interfaces that the table serves, each once.
func (t *Table) Implemented() []rpc.Implementation { return t.implemented }

// Offers lists the interfaces that errors about a namespace may name: the interfaces in the
// namespace, whose versions a client needs, and all others unless names are left out.
func (t *Table) Offers(namespace string) []rpc.Implementation {
	if !t.discreet {
		return t.implemented
	}
	return slices.DeleteFunc(slices.Clone(t.implemented), func(i rpc.Implementation) bool { return i.Namespace != namespace })
}

// lookup returns the method for a message.
func (t *Table) lookup(r *Request) (selected, error) {
	if r.isTyped() {
		return t.findTyped(r)
	}
	return t.find(r.Target.Namespace, r.Version, r.Method)
}

// find returns the method for a message that is not typed. Of the endpoints in the namespace whose
// version can serve the message, it takes the first that has the method. A method that the policy
// hides counts as absent, and the search goes on. As upstream, an unknown namespace counts as an
// unsupported version.
func (t *Table) find(namespace string, version rpc.Version, method string) (selected, error) {
	isPing := discovery.IsPing(namespace, method)
	compatible := false
	for i := range t.endpoints {
		e := &t.endpoints[i]
		if !e.serves(namespace, version) {
			continue
		}
		if e.Service != "" {
			compatible = true
			continue
		}
		if m, ok := e.Methods[method]; ok {
			return selected{m, e.counters[method]}, nil
		}
		if !isPing && e.fallsBack(method) { // a fallback must not answer a ping
			return selected{e.Fallback, e.counters[""]}, nil
		}
		compatible = true
	}
	if isPing && t.ping != nil {
		return selected{t.ping.Methods[method], t.ping.counters[method]}, nil
	}
	if compatible {
		return selected{}, t.noSuchMethod(namespace, version, method)
	}
	return selected{}, t.unsupported(namespace, version)
}

// findTyped is find for a message of a typed service.
func (t *Table) findTyped(r *Request) (selected, error) {
	for i := range t.endpoints {
		e := &t.endpoints[i]
		switch m := e.Methods[r.Method]; {
		case e.Service != r.Typed.Service:
		case !e.Version.Serves(r.Version):
			return selected{}, t.unsupported(r.Target.Namespace, r.Version)
		case m != nil:
			return selected{m, e.counters[r.Method]}, nil
		}
	}
	return selected{}, &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf(
		"the service %s is not offered, or has no method %s", r.Typed.Service, r.Method)}
}

func (t *Table) noSuchMethod(namespace string, version rpc.Version, method string) error {
	if t.discreet {
		return &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf("no endpoint has a method %q", method)}
	}
	var known []string
	for i := range t.endpoints {
		if e := &t.endpoints[i]; e.serves(namespace, version) && e.Service == "" {
			for name := range e.Methods {
				known = append(known, name)
			}
		}
	}
	slices.Sort(known)
	all := known
	const enough = 20
	if known = slices.Compact(known); len(known) > enough {
		known = append(slices.Clip(known[:enough]), "…")
	}
	if len(known) == 0 {
		known = append(known, "none at all")
	}
	return &rpc.Error{Kind: rpc.NoSuchMethod, NotStarted: true, Message: fmt.Sprintf(
		"no endpoint has a method %q%s", method, similar.DidYouMean(method, all, "there is "+strings.Join(known, ", ")))}
}

func (t *Table) unsupported(namespace string, version rpc.Version) error {
	return &rpc.Error{Kind: rpc.UnsupportedVersion, NotStarted: true, Message: fmt.Sprintf(
		"version %s of the %s is not served; %s", version, rpc.DescribeNamespace(namespace), discovery.Offer(t.Offers(namespace)))}
}

// Endpoints calls visit for each endpoint, in order, with the counters of its methods. It leaves
// out what the policy hides. An added ping method comes last, as an endpoint.
func (t *Table) Endpoints(visit func(Endpoint, map[string]*Counters)) {
	for _, e := range t.endpoints {
		visit(e.Endpoint, e.counters)
	}
	if t.ping != nil {
		visit(t.ping.Endpoint, t.ping.counters)
	}
}
