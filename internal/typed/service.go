package typed

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// found is the result of looking up a service: the service, or why it cannot be used.
type found struct {
	service *Service
	err     error
}

var (
	// services caches the result for each linked service by its full name. Names of other services
	// are not cached, since they may come from the network.
	services sync.Map

	// methods has the methods of these services by path. The map is replaced, never changed: a
	// sync.Map would allocate to look up a string.
	methods   atomic.Pointer[map[string]*Method]
	methodsMu sync.Mutex
)

// FindService returns a service of this program by its full name. It fails if the service is not
// linked in, or if its options are wrong.
func FindService(name string) (*Service, error) {
	if known, ok := services.Load(name); ok {
		f := known.(*found)
		return f.service, f.err
	}
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	declared, ok := descriptor.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil, fmt.Errorf("service %s is not linked into this program", name)
	}
	compiled := new(found)
	compiled.service, compiled.err = compileService(declared)
	known, _ := services.LoadOrStore(name, compiled) // of those that compile it at once, one wins
	f := known.(*found)
	if f.err == nil {
		index(f.service)
	}
	return f.service, f.err
}

// FindMethod returns the method with this gRPC path. It does not allocate for known paths.
func FindMethod(path string) (*Method, error) {
	if known := methods.Load(); known != nil {
		if m := (*known)[path]; m != nil {
			return m, nil
		}
	}
	service, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || path[0] != '/' {
		return nil, fmt.Errorf("%q is not the path of a method, such as /package.Service/Method", path)
	}
	s, err := FindService(service)
	if err != nil {
		return nil, err
	}
	m := s.Methods[name]
	if m == nil {
		return nil, fmt.Errorf("service %s has no method %q", service, name)
	}
	return m, nil
}

// index adds the methods of a service to methods.
func index(s *Service) {
	methodsMu.Lock()
	defer methodsMu.Unlock()
	all := make(map[string]*Method)
	if known := methods.Load(); known != nil {
		maps.Copy(all, *known)
	}
	for _, m := range s.Methods {
		all[m.Path] = m
	}
	methods.Store(&all)
}

// compileService reads the options of a service, its methods and its messages.
func compileService(declared protoreflect.ServiceDescriptor) (*Service, error) {
	name := string(declared.FullName())
	s := &Service{Name: name, Namespace: name, Version: rpc.DefaultVersion, Methods: make(map[string]*Method)}
	if err := s.read(declared); err != nil {
		return nil, fmt.Errorf("service %s: %w", name, err)
	}
	plans := newCompiler()
	for i := range declared.Methods().Len() {
		method := declared.Methods().Get(i)
		m, err := compileMethod(s, method, plans)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		s.Methods[m.Name] = m
	}
	return s, nil
}

// read reads the service's own options.
func (s *Service) read(declared protoreflect.ServiceDescriptor) error {
	rules, err := option[*oslorpcv1.ServiceRules](declared, oslorpcv1.E_Service)
	if err != nil || rules == nil {
		return err
	}
	if rules.GetVersion() == "" {
		return fmt.Errorf("version is missing: the options of a service say which version its file describes")
	}
	s.Version, err = rpc.ParseVersion(rules.GetVersion())
	if err != nil {
		return err
	}
	s.Topic, s.Namespace = rules.GetTopic(), rules.GetNamespace()
	return nil
}
