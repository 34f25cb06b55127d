package oslorpc

import (
	"reflect"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/service"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A server takes what generated code registers.
var _ grpc.ServiceRegistrar = (*Server)(nil)

// typedService is a typed service that was registered.
type typedService struct {
	desc *grpc.ServiceDesc
	impl any
}

// RegisterService adds a typed service, a program's own protobuf service, beside the endpoints: generated code calls it, as in
// inventorypb.RegisterInventoryServer(server, impl). It takes effect at the server's next start, where mistakes show.
//
// The options of the service (oslorpc/v1/options.proto) say in which namespace and at what version the server then implements it; without
// options, that is version 1.0 of a namespace with the service's full name. Its messages pass through the server's queue, are
// admitted or refused, and run on its workers, as all others; a method whose delivery is a cast or a fanout is answered when its
// message is accepted. The interceptors of [WithServerOptions] see the service's own methods, before a message is queued. A
// status that a method returns arrives as it is; other errors, and panics, arrive as from any method, as a [*RemoteError].
//
// One server offers a service once. Its access policy does not concern typed services.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = append(s.services, typedService{desc, impl})
}

// WithServices registers typed services: register calls what generated code has for that, with the server. It is
// [Server.RegisterService] for who has options only, as in package oslorpctest.
func WithServices(register func(grpc.ServiceRegistrar)) ServerOption {
	return serverOption(func(s *Server) { register(s) })
}

// WithServiceVersion has the server offer a typed service, by its full protobuf name, at an earlier version than the service's options say,
// of the same major version: for a server that has the new code and is not ready for it, such as while a migration of its data runs.
// Methods that appeared later are not offered.
func WithServiceVersion(service, version string) ServerOption {
	return serverOption(func(s *Server) {
		if s.offered == nil {
			s.offered = map[string]string{}
		}
		s.offered[service] = version
	})
}

// rules returns what the options of a service say, with the version that the server offers.
func (s *Server) rules(t typedService) (*typed.Service, error) {
	if want := reflect.TypeOf(t.desc.HandlerType); want != nil && (t.impl == nil || !reflect.TypeOf(t.impl).Implements(want.Elem())) {
		return nil, invalidUse("the handler of service %s is a %T, which does not implement %s", t.desc.ServiceName, t.impl, want.Elem())
	}
	rules, err := typed.FindService(t.desc.ServiceName)
	if err != nil {
		return nil, invalidUse("%v", err)
	}
	if err := complete(rules, t.desc); err != nil {
		return nil, err
	}
	text, earlier := s.offered[rules.Name]
	if !earlier {
		return rules, nil
	}
	version, err := rpc.ParseVersion(text)
	switch {
	case err != nil:
		return nil, invalidUse("service %s: %v", rules.Name, err)
	case !rules.Version.Serves(version):
		return nil, invalidUse("service %s: its options say version %s, so it cannot be offered at %s", rules.Name, rules.Version, version)
	}
	offered := *rules
	offered.Version = version
	return &offered, nil
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
			return invalidUse("what is registered for service %s has no handler for its method %s: generate its code anew", rules.Name, name)
		}
	}
	return nil
}

// typedEndpoint returns a typed service as dispatch sees it.
func (s *Server) typedEndpoint(t typedService) (dispatch.Endpoint, error) {
	rules, err := s.rules(t)
	if err != nil {
		return dispatch.Endpoint{}, err
	}
	e := dispatch.Endpoint{
		Namespaces: []string{rules.Namespace}, Version: rules.Version, Service: rules.Name, Methods: map[string]*dispatch.Method{},
	}
	for name, m := range rules.Methods {
		if !rules.Version.Serves(m.Since) {
			continue
		}
		e.Methods[name] = s.wrapped(&dispatch.Method{
			Streaming: m.ServerStreams, Exposed: true, Since: m.Since, Deprecated: m.Deprecated,
			Expected: []func(error) bool{service.Expected},
		})
	}
	return e, nil
}

// typedServices returns the server's typed services as they are hosted.
func (s *Server) typedServices() (map[string]*intake.Service, error) {
	hosted := make(map[string]*intake.Service, len(s.services))
	for _, t := range s.services {
		rules, err := s.rules(t)
		if err != nil {
			return nil, err
		}
		if hosted[rules.Name] != nil {
			return nil, invalidUse("the service %s is registered twice on server %q", rules.Name, s.target.Server)
		}
		hosted[rules.Name] = service.NewTyped(rules, t.desc, t.impl)
	}
	return hosted, nil
}
