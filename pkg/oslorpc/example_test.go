package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type Ports struct{}

type Port struct {
	ID   string              `json:"id"`
	Host oslorpc.Opt[string] `json:"host"`
}

func (Ports) PortUpdate(_ context.Context, p Port) (string, error) {
	if p.ID == "" {
		return "", errors.New("a port needs an id")
	}
	return "updated " + p.ID + " on " + p.Host.Or("any host"), nil
}

func Example() {
	t, err := oslorpc.Open("memory://example")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"})
	server.Add(oslorpc.Endpoint{Version: "1.2", Struct: oslorpc.Methods(Ports{})})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	client := t.Client(oslorpc.Target{Topic: "q-plugin", Version: "1.1"})
	fmt.Println(oslorpc.Call[string](ctx, client, "port_update", Port{ID: "p1"}))
	fmt.Println(oslorpc.Call[string](ctx, client, "port_update", Port{ID: "p2", Host: oslorpc.Some("node7")}))

	_, err = oslorpc.Call[string](ctx, client, "port_update", Port{})
	var remote *oslorpc.RemoteError
	fmt.Println(errors.As(err, &remote), remote.Message)

	_, err = oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithVersion("1.3")), "port_update", Port{ID: "p1"})
	fmt.Println(errors.Is(err, oslorpc.UnsupportedVersion), oslorpc.SafeToRetry(err))
	// Output:
	// updated p1 on any host <nil>
	// updated p2 on node7 <nil>
	// true a port needs an id
	// true true
}
