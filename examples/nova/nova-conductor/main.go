// Nova-conductor keeps the instances of a cell of a small Nova, for services that must not access
// the database, and runs tasks that involve several hosts. See the README in the parent directory.
//
//	go run ./examples/nova/nova-conductor
package main

import (
	"context"
	"flag"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/examples/nova/service"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func main() {
	path := flag.String("database", "", "the `file` that keeps the instances; without one, they are forgotten when this ends")
	service.Main("nova-conductor", func(ctx context.Context, s *service.Service) error { return run(ctx, s, *path) })
}

func run(ctx context.Context, s *service.Service, path string) error {
	if path != "" {
		locked, err := lock(ctx, path+".lock", func() { s.Sayf("waits for another conductor, which has %s", path) })
		if err != nil {
			return service.Ended(ctx, err)
		}
		defer func() { _ = locked.Close() }()
	}
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	own := s.Cells.Own().Transport
	target := oslorpc.Target{Topic: rpcapi.ConductorTopic, Server: s.Host}
	tasks, objects := own.Server(target), own.Server(target) // tasks are finished first: they change objects, as tasks of other conductors do
	tasks.Add(rpcapi.ComputeTaskManager(&computeTask{cells: s.Cells, scheduler: rpcapi.NewSchedulerAPI(own, s.Config), sayf: s.Sayf}))
	objects.Add(rpcapi.ConductorManager(conductor{db}), rpcapi.BaseRPCAPI("conductor"))
	return s.Serve(ctx, tasks, objects)
}
