package host

import (
	"context"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/service"
)

// served has the methods and typed services of one run of a server. It is immutable.
type served struct {
	table *dispatch.Table
	// services are the typed services in the table, by their full protobuf names.
	services map[string]*intake.Service
}

// Add adds endpoints at the end of the order in which they are searched. They take effect at the
// next start.
func (s *Server) Add(endpoints ...endpoint.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, endpoints...)
}

// RegisterService implements [grpc.ServiceRegistrar]. It adds a typed service, which is searched
// after the endpoints. It takes effect at the next start.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = append(s.services, service.Registration{Desc: desc, Impl: impl})
}

// served builds and checks the methods and typed services for the next run. The lock is held.
func (s *Server) served() (*served, error) {
	c := &s.config
	if c.Policy > dispatch.AllowExposed {
		return nil, failure.Invalid("there is no access policy %d: use AllowPublic, AllowAll or AllowExposed", c.Policy)
	}
	list := make([]dispatch.Endpoint, 0, len(s.endpoints)+len(s.services))
	for _, e := range s.endpoints {
		built, err := e.Build()
		if err != nil {
			return nil, err
		}
		list = append(list, s.wrap(built))
	}
	services := map[string]*intake.Service{}
	for _, r := range s.services {
		offered, e, err := r.Resolve(c.ServiceVersions)
		if err != nil {
			return nil, err
		}
		if services[e.Service] != nil {
			return nil, failure.Invalid("the service %s is registered twice on server %q", e.Service, c.Target.Server)
		}
		services[e.Service] = offered
		list = append(list, s.wrap(e))
	}
	options := []dispatch.TableOption{dispatch.WithPolicy(c.Policy)}
	if c.Ping {
		options = append(options, dispatch.WithPing())
	}
	if s.host.config.Trust.Hidden().Failures {
		options = append(options, dispatch.WithoutNames())
	}
	return &served{table: dispatch.NewTable(list, options...), services: services}, nil
}

// wrap returns an endpoint whose arguments and results pass through the serializer. In tests, each
// method also calls the test's hook.
func (s *Server) wrap(e dispatch.Endpoint) dispatch.Endpoint {
	return endpoint.Map(e, func(m *dispatch.Method) *dispatch.Method {
		return s.host.config.watched(endpoint.Serialized(m, s.config.Serializer))
	})
}

// watched returns a method that calls the test's hook before it runs, or m itself outside of tests.
func (c *Config) watched(m *dispatch.Method) *dispatch.Method {
	if c.Test == nil {
		return m
	}
	return endpoint.Around(m, func(ctx context.Context, emit dispatch.Emit, invoke dispatch.Invocation) error {
		if err := c.Test.Before(ctx); err != nil {
			return err
		}
		return invoke(ctx, emit)
	})
}
