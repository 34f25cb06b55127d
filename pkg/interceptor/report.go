package interceptor

import (
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/typed"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Report is what a server said it implements, in its answer to a call.
type Report struct {
	// Method is the called method, as gRPC names it: "/package.Service/Method".
	Method string
	// Namespace is the namespace of the method's service.
	Namespace string
	// Implemented are the versions that the server implements in the namespace. It is empty if the
	// server does not implement the namespace.
	Implemented []rpc.Version
}

// tell calls the program with what an answer says about its server, if anything.
func (c *client) tell(m *typed.Method, trailer metadata.MD, err error) {
	versions, ok := header.ReadImplemented(trailer)
	if !ok {
		versions, ok = refusers(m.Service.Namespace, detailOf(err))
	}
	if ok {
		c.report(Report{Method: m.Path, Namespace: m.Service.Namespace, Implemented: versions})
	}
}

// refusers returns the versions that a refusal names for a namespace.
func refusers(namespace string, d *pb.ErrorDetail) (versions []rpc.Version, ok bool) {
	for _, i := range d.GetImplemented() {
		ok = true
		if i.GetNamespace() != namespace {
			continue
		}
		if v, err := rpc.ParseVersion(i.GetVersion()); err == nil {
			versions = append(versions, v)
		}
	}
	return versions, ok || d.GetKind() == pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION
}
