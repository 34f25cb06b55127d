package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// openWorkers returns a transport, and the endpoint of its servers.
func openWorkers() (*oslorpc.Transport, oslorpc.Endpoint) {
	t, err := oslorpc.Open("memory://example-server", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	work := func(context.Context, oslorpc.NoArgs) (string, error) { return "done", nil }
	return t, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"work": oslorpc.Func(work)}}
}

// Run serves until its context ends. A program mostly passes the context of signal.NotifyContext.
func ExampleServer_Run() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx, cancel := context.WithCancel(context.Background())

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"},
		oslorpc.WithStarted(func(i oslorpc.Instance) {
			fmt.Println(i.Server, "is ready")
			cancel() // as a signal would
		}))
	server.Add(endpoint)
	fmt.Println(server.Run(ctx))
	// Output:
	// node1 is ready
	// <nil>
}

// Start returns when clients can find the server. Stop returns when it has finished its messages.
func ExampleServer_Start() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"})
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers"}), "work", nil))
	fmt.Println(server.Stop(ctx))
	server.Wait()
	_, runs := server.Instance()
	fmt.Println(runs)
	// Output:
	// done <nil>
	// <nil>
	// false
}

// A held server accepts messages, and runs them when it is released.
func ExampleWithHold() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"}, oslorpc.WithHold())
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	i, _ := server.Instance()
	fmt.Println(i.State)
	if err := server.Release(ctx); err != nil { // after the preparations of the program
		log.Fatal(err)
	}
	i, _ = server.Instance()
	fmt.Println(i.State)
	// Output:
	// held
	// active
}

// A draining server gets no new messages for any server. It is still reached by name.
func ExampleServer_Drain() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"})
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := server.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	i, _ := server.Instance()
	fmt.Println(i.State)
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers", Server: "node1"}), "work", nil))
	fmt.Println(server.Resume(ctx))
	// Output:
	// draining
	// done <nil>
	// <nil>
}

// A method that runs for long ends when its server stops.
func ExampleStopping() {
	t, _ := openWorkers()
	defer t.Close()
	ctx := context.Background()

	running := make(chan struct{})
	watch := func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		close(running)
		select {
		case <-oslorpc.Stopping(ctx):
			return "the server stops", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"watch": oslorpc.Func(watch)}})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	go func() {
		<-running
		_ = server.Stop(ctx)
	}()
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers"}), "watch", nil))
	// Output:
	// the server stops <nil>
}

// A server bounds its work. Messages beyond the bounds go to other servers.
func ExampleWithQueue() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"},
		oslorpc.WithWorkers(1),       // messages run one at a time
		oslorpc.WithQueue(1, 64<<20), // one may wait
		oslorpc.WithHold())           // as if the worker were busy
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	client := t.Client(oslorpc.Target{Topic: "workers"}, oslorpc.WithRetry(0))
	fmt.Println(client.Cast(ctx, "work", nil))
	fmt.Println(errors.Is(client.Cast(ctx, "work", nil), oslorpc.Refused))
	// Output:
	// <nil>
	// true
}

// A program that must run methods on a certain goroutine, such as its main thread, calls Run on
// this goroutine.
func ExampleWithExecutor() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx, cancel := context.WithCancel(context.Background())

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"}, oslorpc.WithExecutor(oslorpc.ExecutorBlocking))
	server.Add(endpoint)
	go func() {
		defer cancel()
		fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers"}), "work", nil))
	}()
	fmt.Println(server.Run(ctx))
	// Output:
	// done <nil>
	// <nil>
}

// A program decides itself where methods run.
func ExampleWithExecutorFunc() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"}, oslorpc.WithExecutorFunc(func(run func()) {
		go func() {
			fmt.Println("a method runs")
			run()
		}()
	}))
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers"}), "work", nil))
	// Output:
	// a method runs
	// done <nil>
}

// A server that keeps a copy of a state reads it anew when it may have missed a change.
func ExampleWithMissedMessages() {
	t, endpoint := openWorkers()
	defer t.Close()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"},
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) {
			fmt.Println("read the state anew:", reason)
		}))
	server.Add(endpoint)
	fmt.Println(server.Start(context.Background()))
	// Output:
	// <nil>
}

// Upstream's ping passes through the queue of a server, so an answer says that the server works.
func ExampleWithPing() {
	t, endpoint := openWorkers()
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "workers", Server: "node1"}, oslorpc.WithPing())
	server.Add(endpoint)
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "workers"}), oslorpc.PingMethod, nil))
	// Output:
	// pong <nil>
}
