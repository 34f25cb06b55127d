// The client of oslo.messaging's introduction: it calls test, then stops the server.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/examples/introduction"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

func main() {
	url := flag.String("transport", "", "transport URL (default: $OSLORPC_TRANSPORT_URL, or local://)")
	server := flag.String("server", "server1", "the name of the server to stop")
	flag.Parse()
	if err := run(*url, *server); err != nil {
		log.Fatal(err)
	}
}

func run(url, server string) error {
	ctx := context.Background()
	t, err := oslorpc.Open(url)
	if err != nil {
		return err
	}
	defer t.Close()
	client := introduction.NewTestClient(t)
	answer, err := client.TestSoon(ctx, "hello")
	if err != nil {
		return err
	}
	fmt.Println("test returned", answer)
	if _, err := client.TestLater(ctx, "hello"); err != nil {
		fmt.Println("version 1.1:", oslorpc.KindOf(err))
	}
	if err := introduction.NewControlClient(t, server).Stop(ctx); err != nil {
		return err
	}
	fmt.Println("stop was accepted")
	return nil
}
