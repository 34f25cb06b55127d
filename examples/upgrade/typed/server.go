// Package typed is the interface of the example as a protobuf service. Its options say in which
// version each part appeared.
package typed

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	pb "github.com/oslorpc/oslorpc/examples/upgrade/typed/upgrade/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Namespace is the namespace in the service's options. The dynamic interface is in the default
// namespace, so the two differ.
const Namespace = "typed"

// version is the version in the service's options.
const version = "1.2"

// Service returns the server options that offer the service beside the dynamic endpoints. For a
// release earlier than 1.2, the service is offered at that version: it has no methods that came
// later, and clients send it nothing that came later. In a real program, WithServiceVersion is for
// a server with the new code that is not ready for the new version.
func Service(release string) []oslorpc.ServerOption {
	options := []oslorpc.ServerOption{oslorpc.WithServices(func(r grpc.ServiceRegistrar) {
		pb.RegisterRemoteServiceServer(r, Server{release: release})
	})}
	if strings.HasPrefix(release, "1.") && release != version {
		options = append(options, oslorpc.WithServiceVersion(pb.RemoteService_ServiceDesc.ServiceName, release))
	}
	return options
}

// Server is the server side of the interface.
type Server struct {
	pb.UnimplementedRemoteServiceServer

	release string
}

// MyRemoteMethod exists since 1.0.
func (s Server) MyRemoteMethod(ctx context.Context, r *pb.MyRemoteMethodRequest) (*pb.MyRemoteMethodResponse, error) {
	a, err := s.work(ctx)
	return &pb.MyRemoteMethodResponse{Answer: a, Arg2: r.GetArg2()}, err
}

// MyRemoteMethod2 exists since 1.1. Its arg2, since 1.2, has a default with which the method
// behaves as before.
func (s Server) MyRemoteMethod2(ctx context.Context, r *pb.MyRemoteMethod2Request) (*pb.MyRemoteMethod2Response, error) {
	a, err := s.work(ctx)
	return &pb.MyRemoteMethod2Response{Answer: a, Arg2: s.arg2(r)}, err
}

func (s Server) arg2(r *pb.MyRemoteMethod2Request) string {
	switch {
	case s.release == "1.1": // this release does not know arg2; a real server has no such case
		return ""
	case r.Arg2 == nil:
		return upgrade.DefaultArg2
	}
	return r.GetArg2()
}

func (s Server) work(ctx context.Context) (*pb.Answer, error) {
	a, err := upgrade.Work(ctx, s.release, "")
	return &pb.Answer{Server: a.Server, Release: a.Release, Version: a.Version}, err
}
