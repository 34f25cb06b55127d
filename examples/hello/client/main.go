// The client of the README: one call.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

func main() {
	t, err := oslorpc.Open("") // $OSLORPC_TRANSPORT_URL, or local://
	if err != nil {
		log.Fatal(err)
	}
	c := t.Client(oslorpc.Target{Topic: "hello", Version: "1.0"})
	greeting, err := oslorpc.Call[string](context.Background(), c, "greet", map[string]any{"name": "you"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting)
}
