// Server runs a server of the example, of an old release or a new one, until it is interrupted.
//
//	go run ./examples/upgrade/server --version 1.1 --name node1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/examples/upgrade/dynamic"
	"github.com/oslorpc/oslorpc/examples/upgrade/typed"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// stopTimeout bounds how long a stopping server may take to finish its accepted messages.
const stopTimeout = 10 * time.Second

func main() {
	url := flag.String("transport", "", "how programs find each other, as a `URL`; the default is $"+oslorpc.TransportURLVariable+", or else local://")
	release := flag.String("version", dynamic.Version, "the `release` to play: 1.0, 1.1, 1.2 or 2.0")
	name := flag.String("name", fmt.Sprint("server-", os.Getpid()), "the server's `name`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, *url, *release, *name)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// serve runs a server until ctx ends.
func serve(ctx context.Context, url, release, name string) error {
	endpoints, err := dynamic.Endpoints(release)
	if err != nil {
		return err
	}
	t, err := oslorpc.Open(url)
	if err != nil {
		return err
	}
	// One server, one name and one registration: the two forms are upgraded together.
	s := t.Server(oslorpc.Target{Topic: upgrade.Topic, Server: name}, typed.Service(release)...)
	s.Add(endpoints...)
	if err := s.Start(ctx); err != nil {
		return errors.Join(err, t.Close())
	}
	fmt.Printf("ready: %s, a %s server\n", name, release)
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return t.Shutdown(stopping)
}
