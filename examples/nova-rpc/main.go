// Nova shows the three patterns of nova.rpc on oslorpc: a compute service whose workers each
// consume a topic, the topic and their host, and fanouts of the topic; and a scheduler that calls
// any of them, one of them, and all.
//
//	go run ./examples/nova-rpc                                            # all in one process
//
//	go run ./examples/nova-rpc --transport local:// --host compute1       # one worker, in its own process
//	go run ./examples/nova-rpc --transport local:// --workers 0           # the scheduler alone, with the workers of other processes
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	transportEnv     = oslorpc.TransportURLVariable
	defaultTransport = "memory://nova"
	// showTimeout bounds everything that the scheduler does, and closeTimeout the unfinished work
	// after that.
	showTimeout  = 30 * time.Second
	closeTimeout = 10 * time.Second
)

func main() {
	var o options
	flag.StringVar(&o.transport, "transport", cmp.Or(os.Getenv(transportEnv), defaultTransport),
		"how programs find each other, as a `URL`; the default is $"+transportEnv+" if it is set")
	flag.StringVar(&o.host, "host", "", "run one worker under this `name` until interrupted, and nothing else")
	flag.IntVar(&o.workers, "workers", 3, "how many workers to run beside the scheduler; 0 if they are other processes")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.run(ctx, log.New(os.Stdout, "", 0)) // a Logger writes whole lines from any goroutine
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nova:", err)
		os.Exit(1)
	}
}

// options are the options on the command line.
type options struct {
	transport string
	host      string
	workers   int
}

func (o options) run(ctx context.Context, out *log.Logger) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: the program accepts only flags; see --help", flag.Arg(0))
	case o.workers < 0:
		return fmt.Errorf("--workers is %d: it must not be negative", o.workers)
	case (o.host != "" || o.workers == 0) && strings.HasPrefix(o.transport, "memory:"):
		return errors.New("memory:// does not reach other processes: use --transport local://")
	case o.host != "":
		return serve(ctx, o, out)
	default:
		return show(ctx, o, out)
	}
}

// serve runs one worker until ctx ends.
func serve(ctx context.Context, o options, out *log.Logger) error {
	worker, err := startWorker(ctx, o.transport, o.host, out)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return closeAll(context.WithoutCancel(ctx), worker)
}

// show runs workers, and a scheduler that sends to all workers, including workers of other
// processes.
func show(ctx context.Context, o options, out *log.Logger) (err error) {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	var services []*service
	defer func() { err = errors.Join(err, closeAll(context.WithoutCancel(ctx), services...)) }()
	for n := range o.workers {
		worker, err := startWorker(ctx, o.transport, fmt.Sprintf("compute%d.example.org", n+1), out)
		if err != nil {
			return err
		}
		services = append(services, worker)
	}
	s, err := startScheduler(ctx, o.transport, out)
	if err != nil {
		return err
	}
	services = append(services, s.service)
	return s.run(ctx)
}
