// Nova-api receives the requests of operators of a small Nova, and forwards them to the other
// services. See the README in the parent directory.
//
//	go run ./examples/nova/nova-api
package main

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// topic is the topic to which operators send, for example with `oslorpc call nova boot name=vm1`.
// It stands for Nova's REST API.
const topic = "nova"

func main() {
	service.Main("nova-api", run, oslorpc.WithErrorType[*badRequest]("BadRequest"))
}

func run(ctx context.Context, s *service.Service) error {
	own := s.Cells.Own().Transport
	server := own.Server(oslorpc.Target{Topic: topic, Server: s.Host})
	server.Add(endpoint(&api{cells: s.Cells, tasks: rpcapi.NewComputeTaskAPI(own, s.Config)}))
	return s.Serve(ctx, server)
}
