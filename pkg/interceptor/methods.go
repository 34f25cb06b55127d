package interceptor

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/oslorpc/oslorpc/internal/typed"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// entry is the cached result for a path: a method with rules, nothing if its service has no rules,
// or the error in its options.
type entry struct {
	method *typed.Method
	err    error
}

// known caches the results for paths. The map is replaced as a whole, so that calls read it without
// a lock. It has only paths of methods that this program declares: clients choose the paths that
// they send, and must not fill the memory of a server.
var known struct {
	sync.Mutex // held to replace it

	entries atomic.Pointer[map[string]entry]
}

// find returns the method that gRPC names path, or nil if this program knows no rules for it.
func find(path string) (*typed.Method, error) {
	if entries := known.entries.Load(); entries != nil {
		if e, ok := (*entries)[path]; ok {
			return e.method, e.err
		}
	}
	return learn(path)
}

func learn(path string) (*typed.Method, error) {
	service := declared(path)
	if service == nil {
		return nil, nil
	}
	var e entry
	if proto.HasExtension(service.Options(), pb.E_Service) {
		e.method, e.err = typed.FindMethod(path)
	}
	known.Lock()
	defer known.Unlock()
	entries := map[string]entry{path: e}
	if old := known.entries.Load(); old != nil {
		maps.Copy(entries, *old)
	}
	known.entries.Store(&entries)
	return e.method, e.err
}

// declared returns the service of a path, or nil if this program does not declare the service or
// the method.
func declared(path string) protoreflect.ServiceDescriptor {
	name, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	service, ok := d.(protoreflect.ServiceDescriptor)
	if !ok || service.Methods().ByName(protoreflect.Name(method)) == nil {
		return nil
	}
	return service
}
