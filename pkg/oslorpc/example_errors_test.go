package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// PortInUse is an error of a program, with fields.
type PortInUse struct {
	Port string `json:"port"`
	By   string `json:"by"`
}

func (e *PortInUse) Error() string { return "port " + e.Port + " is in use" }

func ExampleWithErrorType() {
	// Client and server are mostly two programs; both register the type.
	t, err := oslorpc.Open("memory://example-errors", oslorpc.WithErrorType[*PortInUse]("ports.InUse"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"bind": oslorpc.Func(func(_ context.Context, p Port) (any, error) {
			return nil, fmt.Errorf("bind: %w", &PortInUse{Port: p.ID, By: "vm7"})
		}),
	}})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	_, err = oslorpc.Call[any](ctx, t.Client(oslorpc.Target{Topic: "q-plugin"}), "bind", Port{ID: "p1"})
	if used, ok := errors.AsType[*PortInUse](err); ok {
		fmt.Println(used.Port, "is used by", used.By)
	}
	remote, _ := errors.AsType[*oslorpc.RemoteError](err)
	fmt.Println(remote, remote.Hops)
	// Output:
	// p1 is used by vm7
	// ports.InUse: bind: port p1 is in use [node1]
}
