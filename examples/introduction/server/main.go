// The server of oslo.messaging's introduction. It runs until a client or a signal stops it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/oslorpc/oslorpc/examples/introduction"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

func main() {
	url := flag.String("transport", "", "transport URL (default: $OSLORPC_TRANSPORT_URL, or local://)")
	name := flag.String("name", "server1", "the server's name")
	executor := flag.String("executor", string(oslorpc.ExecutorBlocking), "how messages run: blocking, one at a time; or pool")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, *url, *name, *executor); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends or a client stops the server, and then finishes the accepted messages.
func run(ctx context.Context, url, name, executor string) error {
	t, err := oslorpc.Open(url)
	if err != nil {
		return err
	}
	defer t.Close()
	server := introduction.NewServer(t, name, oslorpc.Executor(executor), oslorpc.WithStarted(func(oslorpc.Instance) {
		fmt.Println("server", name, "serves, with the executor", executor)
	}))
	defer context.AfterFunc(ctx, func() { fmt.Println("stopping server", name) })()
	if err := server.Run(ctx); err != nil {
		return err
	}
	fmt.Println("server", name, "was stopped")
	return nil
}
