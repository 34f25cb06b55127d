// The server of the README: one method.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

type Hello struct{}

func (Hello) Greet(_ context.Context, args struct {
	Name string `json:"name"`
}) (string, error) {
	return "hello " + args.Name, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	t, err := oslorpc.Open("")   // $OSLORPC_TRANSPORT_URL, or local://
	if err != nil {
		log.Fatal(err)
	}
	s := t.Server(oslorpc.Target{Topic: "hello", Server: "node1"}, oslorpc.WithStarted(func(i oslorpc.Instance) {
		fmt.Println("ready at", i.Addr)
	}))
	s.Add(oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(Hello{})})
	if err := s.Run(ctx); err != nil { // at a signal, it finishes what it accepted
		log.Fatal(err)
	}
}
