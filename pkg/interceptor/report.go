package interceptor

import (
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/typed"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Report lists what a server implements. The server sent it with its answer to a call.
type Report struct {
	// Method is the called method, as gRPC names it: "/package.Service/Method".
	Method string
	// Namespace is the namespace of the method's service.
	Namespace string
	// Implemented are the versions that the server implements in the namespace. It is empty if the
	// server does not implement the namespace.
	Implemented []rpc.Version
}

// tell passes the report in an answer, if there is one, to the program's function.
func (c *client) tell(m *typed.Method, trailer metadata.MD, err error) {
	versions, ok := header.ReadImplemented(trailer)
	if !ok {
		versions, ok = refusers(m.Service.Namespace, detailOf(err))
	}
	if ok {
		c.report(Report{Method: m.Path, Namespace: m.Service.Namespace, Implemented: versions})
	}
}

// refusers returns the versions of a namespace that a refusing server implements.
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
