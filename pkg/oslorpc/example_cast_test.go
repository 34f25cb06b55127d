package oslorpc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// startPrinter returns a transport with servers that send what they print to pages.
func startPrinter(pages chan<- string, names ...string) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-cast", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	type page struct {
		Text string `json:"text"`
	}
	for _, name := range names {
		server := t.Server(oslorpc.Target{Topic: "printers", Server: name})
		server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"print": oslorpc.Func(func(_ context.Context, p page) (any, error) {
				pages <- p.Text
				return nil, nil
			}),
		}})
		if err := server.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	return t
}

// A cast returns when a server has accepted the message. The method runs later.
func ExampleClient_Cast() {
	pages := make(chan string)
	t := startPrinter(pages, "node1")
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "printers"})
	err := client.Cast(context.Background(), "print", map[string]string{"text": "hello"})
	fmt.Println(err)
	fmt.Println(<-pages)
	// Output:
	// <nil>
	// hello
}

// With a fanout target, a cast goes to every server.
func ExampleWithFanout() {
	pages := make(chan string)
	t := startPrinter(pages, "node1", "node2")
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithFanout(true))
	if err := client.Cast(context.Background(), "print", map[string]string{"text": "hello"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-pages, <-pages)
	// Output:
	// hello hello
}

// Casts with the same key run one after the other at a server, in the order in which they are sent.
func ExampleWithOrderKey() {
	pages := make(chan string)
	t := startPrinter(pages, "node1")
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "printers", Server: "node1"}, oslorpc.WithOrderKey("letter"))
	for _, text := range []string{"Dear Bob,", "how are you?", "Alice"} {
		if err := client.Cast(context.Background(), "print", map[string]string{"text": text}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(<-pages, <-pages, <-pages)
	// Output:
	// Dear Bob, how are you? Alice
}
