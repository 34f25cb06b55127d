package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// An agent asks for its state until it gets it. Each time the server is too busy to answer, the agent gives it more time.
func ExampleWithBackoff() {
	t, err := oslorpc.Open("memory://example-backoff")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"sync_state": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return "in sync", nil }),
	}})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	patience := &oslorpc.Backoff{} // a minute, which doubles up to ten
	client := t.Client(oslorpc.Target{Topic: "q-plugin"}, oslorpc.WithBackoff(patience))
	for {
		state, err := oslorpc.Call[string](ctx, client, "sync_state", nil)
		if !errors.Is(err, oslorpc.Timeout) {
			fmt.Println(state, err)
			break
		}
		log.Println("the next attempt has", patience.Timeout("", "sync_state"))
	}

	patience.SetMax(10 * time.Second) // the agent is asked to end, and must not wait for minutes
	fmt.Println(patience.Timeout("", "sync_state"))
	// Output:
	// in sync <nil>
	// 10s
}
