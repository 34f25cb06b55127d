// The server of the example keeps a stock. The same program runs in a mesh and without one: the
// transport URL decides.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// Item has the arguments of both methods that change the stock.
type Item struct {
	Name string `json:"name"`
}

// Stock is safe for concurrent use: messages run at the same time.
type Stock struct {
	where string

	mu    sync.Mutex
	items map[string]int
}

// Where returns which server this is.
func (s *Stock) Where(context.Context, oslorpc.NoArgs) (string, error) { return s.where, nil }

// Put adds an item, and returns its new count.
func (s *Stock) Put(_ context.Context, i Item) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[i.Name]++
	return s.items[i.Name], nil
}

// Clear removes an item.
func (s *Stock) Clear(_ context.Context, i Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, i.Name)
	return nil
}

func main() {
	name := flag.String("name", "", "the name of the server")
	version := flag.String("version", "1.3", "the version of its interface; 2.0 has 1.3 beside it, for older clients")
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	transport := flag.String("transport", "", "the transport URL (default: $OSLORPC_TRANSPORT_URL)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	t, err := oslorpc.Open(*transport, oslorpc.WithListen(*listen))
	if err != nil {
		log.Fatal(err)
	}
	where := *name + " at " + *version
	s := t.Server(oslorpc.Target{Topic: "stock", Server: *name}, oslorpc.WithStarted(func(oslorpc.Instance) {
		fmt.Println(where, "is ready")
	}))
	methods := oslorpc.Methods(&Stock{where: where, items: map[string]int{}})
	s.Add(oslorpc.Endpoint{Version: *version, Struct: methods})
	if *version == "2.0" {
		s.Add(oslorpc.Endpoint{Version: "1.3", Struct: methods})
	}
	if err := s.Run(ctx); err != nil { // at a signal, it finishes what it accepted
		log.Fatal(err)
	}
}
