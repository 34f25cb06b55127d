package main

import (
	"context"
	"fmt"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// conductor gives services access to the database.
type conductor struct{ db *database }

// ObjectAction changes an instance, and returns its new state.
func (c conductor) ObjectAction(_ context.Context, args rpcapi.ObjectActionArgs) (rpcapi.Instance, error) {
	switch args.ObjMethod {
	case "create":
		return args.ObjInst, c.db.create(args.ObjInst)
	case "save":
		return c.db.save(args.ObjInst, args.Kwargs)
	case "destroy":
		return args.ObjInst, c.db.destroy(args.ObjInst)
	}
	return args.ObjInst, fmt.Errorf("an instance has no method %q", args.ObjMethod)
}

// ObjectClassActionVersions finds instances.
func (c conductor) ObjectClassActionVersions(_ context.Context, args rpcapi.ObjectClassActionArgs) (any, error) {
	argument := ""
	if len(args.Args) > 0 {
		argument = args.Args[0]
	}
	switch args.ObjName + "." + args.ObjMethod {
	case "Instance.get_by_uuid":
		return c.db.get(argument)
	case "InstanceList.get_by_host":
		return c.db.list(func(i rpcapi.Instance) bool { return i.Host == argument }), nil
	case "InstanceList.get_all":
		return c.db.list(func(rpcapi.Instance) bool { return true }), nil
	}
	return nil, fmt.Errorf("%s has no method %q", args.ObjName, args.ObjMethod)
}
