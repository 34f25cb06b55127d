package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type addends struct {
	A int `json:"a"`
	B int `json:"b"`
}

func add(_ context.Context, args addends) (int, error) { return args.A + args.B, nil }

// startCalculator returns a transport with a server.
func startCalculator(options ...oslorpc.ServerOption) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-client", oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "calculators", Server: "node1"}, options...)
	server.Add(oslorpc.Endpoint{Version: "1.2", Methods: map[string]oslorpc.Method{"add": oslorpc.Func(add)}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

func ExampleCall() {
	t := startCalculator()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "calculators", Version: "1.1"})
	sum, err := oslorpc.Call[int](context.Background(), client, "add", addends{A: 1, B: 2})
	fmt.Println(sum, err)
	// Output:
	// 3 <nil>
}

// The keyword arguments may be a struct, a map, or JSON text. The result may be decoded into any
// type that fits.
func ExampleCall_arguments() {
	t := startCalculator()
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "calculators"})

	fmt.Println(oslorpc.Call[int](ctx, client, "add", map[string]any{"a": 1, "b": 2}))
	fmt.Println(oslorpc.Call[float64](ctx, client, "add", oslorpc.Raw(`{"a": 3, "b": 4}`)))
	fmt.Println(oslorpc.Call[oslorpc.Raw](ctx, client, "add", addends{A: 5, B: 6}))
	// Output:
	// 3 <nil>
	// 7 <nil>
	// 11 <nil>
}

// Prepare makes a client for other messages. The first client does not change.
func ExampleClient_Prepare() {
	t := startCalculator()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "calculators", Version: "1.0"})
	fmt.Println(client.Prepare(oslorpc.WithVersion("1.2")).Target())
	fmt.Println(client.Prepare(oslorpc.WithVersion(oslorpc.None), oslorpc.WithServer("node1")).Target())
	fmt.Println(client.Prepare(oslorpc.WithTopic("printers"), oslorpc.WithExchange("office")).Target())
	fmt.Println(client.Prepare(oslorpc.WithNamespace("control"), oslorpc.WithFanout(true)).Target())
	fmt.Println(client.Target())
	// Output:
	// <Target topic=calculators, version=1.2>
	// <Target topic=calculators, server=node1>
	// <Target exchange=office, topic=printers, version=1.0>
	// <Target topic=calculators, namespace=control, version=1.0, fanout=True>
	// <Target topic=calculators, version=1.0>
}

// The server of this example accepts messages and does not run them.
func ExampleWithTimeout() {
	t := startCalculator(oslorpc.WithHold())
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "calculators"}, oslorpc.WithTimeout(time.Second/4))
	_, err := oslorpc.Call[int](context.Background(), client, "add", addends{})
	fmt.Println(errors.Is(err, oslorpc.Timeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// true true
}

// WithDefaultTimeout undoes WithTimeout.
func ExampleWithDefaultTimeout() {
	t := startCalculator()
	defer t.Close()

	hasty := t.Client(oslorpc.Target{Topic: "calculators"}, oslorpc.WithTimeout(0))
	_, err := oslorpc.Call[int](context.Background(), hasty, "add", addends{A: 1, B: 2})
	fmt.Println(oslorpc.SafeToRetry(err)) // it had no time to find a server

	client := hasty.Prepare(oslorpc.WithDefaultTimeout())
	fmt.Println(oslorpc.Call[int](context.Background(), client, "add", addends{A: 1, B: 2}))
	// Output:
	// true
	// 3 <nil>
}

// By default, a message waits for a server until its deadline.
func ExampleWithFailFast() {
	t := startCalculator()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithFailFast(true))
	err := client.Cast(context.Background(), "print", nil)
	fmt.Println(errors.Is(err, oslorpc.NoInstance))
	// Output:
	// true
}

// Without retries a message is offered once to each server that may take it.
func ExampleWithRetry() {
	t := startCalculator(oslorpc.WithHold(), oslorpc.WithQueue(1, 1<<20))
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "calculators"}, oslorpc.WithRetry(0))

	fmt.Println(client.Cast(ctx, "add", addends{}))
	err := client.Cast(ctx, "add", addends{}) // the queue of the only server is full
	fmt.Println(errors.Is(err, oslorpc.Refused), oslorpc.SafeToRetry(err))
	// Output:
	// <nil>
	// true true
}

// As with a broker, the sender of a lossy cast does not learn that no server took the message.
func ExampleWithLossyCasts() {
	t := startCalculator()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithFailFast(true), oslorpc.WithLossyCasts(true))
	fmt.Println(client.Cast(context.Background(), "print", nil))
	// Output:
	// <nil>
}

// A long call ends soon when its server hangs, because heartbeats stop.
func ExampleWithCallMonitorTimeout() {
	t := startCalculator()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "calculators"},
		oslorpc.WithTimeout(time.Hour), oslorpc.WithCallMonitorTimeout(10*time.Second))
	sum, err := oslorpc.Call[int](context.Background(), client, "add", addends{A: 1, B: 2})
	if errors.Is(err, oslorpc.MonitorTimeout) {
		log.Fatal("the server hangs: ", err)
	}
	fmt.Println(sum)
	// Output:
	// 3
}
