// The server of oslo.messaging's introduction. It runs until a client stops it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/examples/introduction"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func main() {
	url := flag.String("transport", "", "transport URL; that of the environment, or local://, if it is not given")
	name := flag.String("name", "server1", "the server's name")
	executor := flag.String("executor", oslorpc.ExecutorBlocking, "how messages run: blocking, one at a time; or pool")
	flag.Parse()
	if err := run(*url, *name, *executor); err != nil {
		log.Fatal(err)
	}
}

func run(url, name, executor string) error {
	t, err := oslorpc.Open(url)
	if err != nil {
		return err
	}
	defer t.Close()
	fmt.Println("server", name, "serves, with the executor", executor)
	if err := introduction.NewServer(t, name, executor).Run(context.Background()); err != nil {
		return err
	}
	fmt.Println("server", name, "was stopped")
	return nil
}
