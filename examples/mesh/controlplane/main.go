// The control plane of the example tells xDS clients how to reach the stock. A file lists the
// servers; it is read again when it changes.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
)

// node is the node id that all clients have in their bootstrap file.
const node = "client"

func main() {
	listen := flag.String("listen", "127.0.0.1:7000", "the address to listen on")
	file := flag.String("fleet", "fleet.json", "the file that says which servers there are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *file); err != nil {
		log.Fatal(err) //nolint:gocritic // The signals end with the process.
	}
}

func run(ctx context.Context, address, file string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	known := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	server := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(server, xds.NewServer(ctx, known, nil))
	context.AfterFunc(ctx, server.Stop)
	go follow(ctx, known, file)
	return server.Serve(l)
}

// follow sends the clients the content of the file whenever it changes. If the content is invalid,
// the routes stay the same.
func follow(ctx context.Context, known cache.SnapshotCache, file string) {
	var last []byte
	for version := 1; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(file) //nolint:gosec // The operator names it.
		if err == nil && bytes.Equal(text, last) {
			continue
		}
		if last = text; err == nil {
			err = tell(ctx, known, text, version)
		}
		if err != nil {
			log.Printf("%s: %v", file, err)
			continue
		}
		fmt.Println("version", version, "of the routes")
		version++
	}
}

// tell reads the file and sends the clients its content.
func tell(ctx context.Context, known cache.SnapshotCache, text []byte, version int) error {
	f, err := parse(text)
	if err != nil {
		return err
	}
	snapshot, err := f.snapshot(version)
	if err != nil {
		return err
	}
	return known.SetSnapshot(ctx, node, snapshot)
}
