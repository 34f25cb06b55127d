// The client of the example sends messages to the stock, through the mesh that the transport URL
// selects.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	_ "google.golang.org/grpc/xds" // for xds:///NAME in static:// URLs

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

const usage = `client [flags] where              ask a server which one it is
client [flags] everywhere         ask all servers
client [flags] put|clear NAME     change the stock of an item
client [flags] load               call without a pause, and say when that is allowed and when not
`

func main() {
	url := flag.String("transport", "", "the transport URL (default: $OSLORPC_TRANSPORT_URL)")
	target := oslorpc.Target{Topic: "stock"}
	flag.StringVar(&target.Server, "server", "", "the server that is meant (default: any)")
	flag.StringVar(&target.Version, "version", "1.0", "the lowest version that will do")
	times := flag.Int("times", 1, "how often to ask")
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, target, *times, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1) //nolint:gocritic // The signals end with the process.
	}
}

func run(ctx context.Context, url string, target oslorpc.Target, times int, args []string) error {
	t, err := open(url)
	if err != nil {
		return err
	}
	defer t.Close()
	c := t.Client(target)
	switch command := strings.Join(args[:min(1, len(args))], ""); {
	case command == "where":
		return where(ctx, c, times)
	case command == "everywhere":
		return everywhere(ctx, c)
	case (command == "put" || command == "clear") && len(args) == 2:
		_, err := oslorpc.Call[any](ctx, c, command, map[string]any{"name": args[1]})
		if err == nil {
			fmt.Println("done")
		}
		return err
	case command == "load":
		return load(ctx, url, target)
	default:
		flag.Usage()
		return errors.New("the command is missing, or there is no such command")
	}
}

// open opens a transport that logs warnings only, and not each certificate that it gets.
func open(url string) (*oslorpc.Transport, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return oslorpc.Open(url, oslorpc.WithLogger(log))
}

// where prints each server that answered, once.
func where(ctx context.Context, c *oslorpc.Client, times int) error {
	answered := map[string]bool{}
	for range times {
		name, err := oslorpc.Call[string](ctx, c, "where", nil)
		if err != nil {
			return err
		}
		answered[name] = true
	}
	fmt.Println(strings.Join(slices.Sorted(maps.Keys(answered)), ", "))
	return nil
}

// everywhere prints the answers of all servers.
func everywhere(ctx context.Context, c *oslorpc.Client) error {
	var answers []string
	for r, err := range oslorpc.Gather[string](ctx, c, "where", nil) {
		if err != nil {
			return err
		}
		answers = append(answers, r.Value)
	}
	slices.Sort(answers)
	fmt.Println(strings.Join(answers, ", "))
	return nil
}
