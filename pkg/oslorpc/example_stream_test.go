package oslorpc_test

import (
	"context"
	"fmt"
	"iter"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type countTo struct {
	N int `json:"n"`
}

// count is a method with any number of results.
func count(_ context.Context, to countTo) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 1; n <= to.N && yield(n, nil); n++ {
		}
	}
}

// startCounter returns a transport with a server that counts.
func startCounter() *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-stream", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "counters", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"count": oslorpc.Stream(count)}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// The end of the range ends the method, too.
func ExampleMulticall() {
	t := startCounter()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "counters"})
	for n, err := range oslorpc.Multicall[int](context.Background(), client, "count", countTo{N: 1000}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
		if n == 3 {
			break
		}
	}
	// Output:
	// 1
	// 2
	// 3
}

// A call of a method that streams returns the last item.
func ExampleStream() {
	t := startCounter()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "counters"})
	fmt.Println(oslorpc.Call[int](context.Background(), client, "count", countTo{N: 1000}))
	// Output:
	// 1000 <nil>
}
