package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// startSync returns a client of a server that runs no messages until release is called.
func startSync(options ...oslorpc.ClientOption) (client *oslorpc.Client, release func(), t *oslorpc.Transport) {
	t, err := oslorpc.Open("memory://example-backoff", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"}, oslorpc.WithHold())
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"sync_state": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return "in sync", nil }),
	}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t.Client(oslorpc.Target{Topic: "q-plugin"}, options...), func() { _ = server.Release(context.Background()) }, t
}

// An agent asks for its state until it gets it. Each time the server is too busy to answer, the
// agent gives it twice the time.
func ExampleWithBackoff() {
	patience := &oslorpc.Backoff{Initial: 250 * time.Millisecond, Max: time.Minute}
	client, release, t := startSync(oslorpc.WithBackoff(patience))
	defer t.Close()

	for {
		state, err := oslorpc.Call[string](context.Background(), client, "sync_state", nil)
		if !errors.Is(err, oslorpc.Timeout) {
			fmt.Println(state, err)
			break
		}
		fmt.Println("the next attempt has", patience.Timeout("", "sync_state"))
		release()
	}
	// Output:
	// the next attempt has 500ms
	// in sync <nil>
}

// A program that ends must not wait for minutes.
func ExampleBackoff_SetMax() {
	patience := &oslorpc.Backoff{} // one minute, which doubles up to ten
	fmt.Println(patience.Timeout("", "sync_state"))
	patience.SetMax(10 * time.Second)
	fmt.Println(patience.Timeout("", "sync_state"))
	// Output:
	// 1m0s
	// 10s
}
