package service

import (
	"reflect"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registration is a typed service as generated code registers it.
type Registration struct {
	Desc *grpc.ServiceDesc
	Impl any
}

// Resolve returns a typed service as a server offers it, and its methods as an endpoint. Offered
// has the versions of services that the server does not offer at the version in their options.
func (r Registration) Resolve(offered map[string]string) (*intake.Service, dispatch.Endpoint, error) {
	rules, err := r.rules(offered)
	if err != nil {
		return nil, dispatch.Endpoint{}, err
	}
	e := dispatch.Endpoint{
		Namespaces: []string{rules.Namespace}, Version: rules.Version, Service: rules.Name, Methods: map[string]*dispatch.Method{},
	}
	for name, m := range rules.Methods {
		if !rules.Version.Serves(m.Since) {
			continue
		}
		e.Methods[name] = &dispatch.Method{
			Streaming: m.ServerStreams, Exposed: true, Since: m.Since, Deprecated: m.Deprecated, Expected: []func(error) bool{Expected},
		}
	}
	return NewTyped(rules, r.Desc, r.Impl), e, nil
}

// rules returns what the options of the service say, with the version that the server offers.
func (r Registration) rules(offered map[string]string) (*typed.Service, error) {
	if want := reflect.TypeOf(r.Desc.HandlerType); want != nil && (r.Impl == nil || !reflect.TypeOf(r.Impl).Implements(want.Elem())) {
		return nil, failure.Invalid("the handler of service %s is a %T, which does not implement %s", r.Desc.ServiceName, r.Impl, want.Elem())
	}
	rules, err := typed.FindService(r.Desc.ServiceName)
	if err != nil {
		return nil, failure.Invalid("%v", err)
	}
	if err := complete(rules, r.Desc); err != nil {
		return nil, err
	}
	text, given := offered[rules.Name]
	if !given {
		return rules, nil
	}
	version, err := rpc.ParseVersion(text)
	switch {
	case err != nil:
		return nil, failure.Invalid("service %s: %v", rules.Name, err)
	case !rules.Version.Serves(version):
		return nil, failure.Invalid("service %s: its options say version %s, so it cannot be offered at %s", rules.Name, rules.Version, version)
	}
	earlier := *rules
	earlier.Version = version
	return &earlier, nil
}

// complete returns an error if a description has no handler for a method that the service declares.
func complete(rules *typed.Service, desc *grpc.ServiceDesc) error {
	unary, streams := map[string]bool{}, map[string]bool{}
	for _, m := range desc.Methods {
		unary[m.MethodName] = m.Handler != nil
	}
	for _, m := range desc.Streams {
		streams[m.StreamName] = m.Handler != nil
	}
	for name, m := range rules.Methods {
		handled := unary
		if m.ClientStreams || m.ServerStreams {
			handled = streams
		}
		if !handled[name] {
			return failure.Invalid("the registration of service %s has no handler for its method %s: generate its code again", rules.Name, name)
		}
	}
	return nil
}
