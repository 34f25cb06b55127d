// The server of the README: one method, on the embedded registry.
package main

import (
	"context"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type Hello struct{}

func (Hello) Greet(_ context.Context, args struct {
	Name string `json:"name"`
}) (string, error) {
	return "hello " + args.Name, nil
}

func main() {
	t, err := oslorpc.Open("local://")
	if err != nil {
		log.Fatal(err)
	}
	s := t.Server(oslorpc.Target{Topic: "hello", Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.0", Methods: oslorpc.Methods(Hello{})})
	log.Fatal(s.Run(context.Background()))
}
