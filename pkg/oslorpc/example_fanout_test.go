package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// startHosts returns a transport with three servers that have a method free. Host2 is old and
// broken.
func startHosts() *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-fanout", oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	for name, host := range map[string]struct {
		version string
		free    int
	}{"host1": {"1.1", 3}, "host2": {"1.0", 0}, "host3": {"1.1", 8}} {
		server := t.Server(oslorpc.Target{Topic: "compute", Server: name})
		server.Add(oslorpc.Endpoint{Version: host.version, Methods: map[string]oslorpc.Method{
			"free": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (int, error) {
				if host.free == 0 {
					return 0, errors.New("the disk does not answer")
				}
				return host.free, nil
			}),
		}})
		if err := server.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	return t
}

// A fanout goes to every server. The report says which servers took the message.
func ExampleClient_Fanout() {
	t := startHosts()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute", Version: "1.1"})
	report, err := client.Fanout(context.Background(), "free", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Accepted {
		fmt.Println("accepted by", r.Instance.Server)
	}
	for _, r := range report.Skipped {
		fmt.Println("skipped", r.Instance.Server, "of", r.Instance.Implemented[0].Version)
	}
	fmt.Println(report.Err())
	// Output:
	// accepted by host1
	// accepted by host3
	// skipped host2 of 1.0
	// <nil>
}

// A gather calls every server, and yields the replies as they come.
func ExampleGather() {
	t := startHosts()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute"})
	for r, err := range oslorpc.Gather[int](context.Background(), client, "free", nil) {
		if remote, ok := errors.AsType[*oslorpc.RemoteError](err); ok {
			fmt.Println(r.Instance.Server, "failed:", remote.Message)
			continue
		}
		fmt.Println(r.Instance.Server, r.Value)
	}
	// Unordered output:
	// host1 3
	// host2 failed: the disk does not answer
	// host3 8
}

// The end of the range cancels the other calls.
func ExampleGather_first() {
	t := startHosts()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute"})
	for r, err := range oslorpc.Gather[int](context.Background(), client, "free", nil) {
		if err == nil && r.Value >= 5 {
			fmt.Println("the first of", r.Total, "that fits:", r.Instance.Server)
			break
		}
	}
	// Output:
	// the first of 3 that fits: host3
}

// A gather that waits for slow servers need not wait until its deadline.
func ExampleWithStall() {
	t := startHosts()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute", Version: "1.1"})
	total := 0
	for r, err := range oslorpc.Gather[int](context.Background(), client, "free", nil, oslorpc.WithStall(5*time.Second)) {
		if r.Skipped {
			continue
		}
		if errors.Is(err, oslorpc.Timeout) {
			fmt.Println(r.Instance.Server, "is slow")
			continue
		}
		total += r.Value
	}
	fmt.Println(total)
	// Output:
	// 11
}

// A program may need to know which servers should reply before the first reply comes.
func ExampleWithAudience() {
	t := startHosts()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute"})
	waiting := map[string]bool{}
	audience := oslorpc.WithAudience(func(list []oslorpc.Instance) {
		for _, i := range list {
			waiting[i.Server] = true
		}
	})
	for r := range oslorpc.Gather[int](context.Background(), client, "free", nil, audience) {
		delete(waiting, r.Instance.Server)
		fmt.Println(len(waiting), "left")
	}
	// Output:
	// 2 left
	// 1 left
	// 0 left
}
