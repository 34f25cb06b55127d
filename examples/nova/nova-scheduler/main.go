// Nova-scheduler finds hosts for the instances of a small Nova: those with the fewest. See the
// README in the parent directory.
//
//	go run ./examples/nova/nova-scheduler
package main

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func main() {
	service.Main("nova-scheduler", run)
}

// run serves in every cell, since computes report within their cell. Conductors send to the
// program's own cell.
func run(ctx context.Context, s *service.Service) error {
	m := &manager{cells: s.Cells, hosts: map[host]instances{}}
	var servers []*oslorpc.Server
	for _, cell := range s.Cells.All() {
		server := cell.Transport.Server(oslorpc.Target{Topic: rpcapi.SchedulerTopic, Server: s.Host})
		server.Add(rpcapi.SchedulerManager(inCell{m, cell.Name}), rpcapi.BaseRPCAPI("scheduler"))
		servers = append(servers, server)
	}
	return s.Serve(ctx, servers...)
}
