// Client calls each method of the example once, as a client of an old release or a new one.
//
//	go run ./examples/upgrade/client --version 1.2 --cap auto --typed
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// timeout bounds everything that the client does.
const timeout = 15 * time.Second

func main() {
	var o options
	flag.StringVar(&o.url, "transport", "", "how programs find each other, as a `URL`; the default is $"+oslorpc.TransportURLVariable+", or else local://")
	flag.StringVar(&o.release, "version", "1.2", "the `release` to play: 1.0, 1.1 or 1.2, or 2.0 without --typed")
	flag.StringVar(&o.limit, "cap", oslorpc.None, "the version `cap`: a version, a release (bobcat, caracal, dalmatian), or auto")
	flag.BoolVar(&o.typed, "typed", false, "use the protobuf service and not the dynamic interface")
	flag.BoolVar(&o.strict, "strict", false, "of 1.2: ask for what older servers must not ignore, too")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	err := o.run(ctx)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// options are the options on the command line.
type options struct {
	url, release, limit string
	typed, strict       bool
}

// run makes all calls, and returns the first failure.
func (o options) run(ctx context.Context) (err error) {
	t, err := oslorpc.Open(o.url)
	if err != nil {
		return err
	}
	defer t.Close()
	api, err := o.api(t)
	if err != nil {
		return err
	}
	if reason, err := api.why(ctx); err == nil {
		fmt.Println("cap:", reason)
	}
	for _, call := range api.calls {
		a, failure := call.send(ctx)
		if failure != nil {
			fmt.Printf("%s: %v\n", call.text, failure)
			err = fmt.Errorf("%s: %w", call.text, oslorpc.KindOf(failure))
			continue
		}
		fmt.Printf("%s: %s\n", call.text, a)
	}
	return err
}

// api has the calls of the client of a release.
type api struct {
	why   func(context.Context) (*oslorpc.CapReason, error)
	calls []call
}

// call is a call, and its text.
type call struct {
	text string
	send func(context.Context) (upgrade.Answer, error)
}
