package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type Ports struct{}

type Port struct {
	ID   string              `json:"id"`
	Host oslorpc.Opt[string] `json:"host"`
}

func (Ports) PortUpdate(_ context.Context, p Port) (string, error) {
	if p.ID == "" {
		return "", errors.New("a port needs an id")
	}
	return "updated " + p.ID + " on " + p.Host.Or("any host"), nil
}

func Example() {
	t, err := oslorpc.Open("memory://example")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"})
	server.Add(oslorpc.Endpoint{Version: "1.2", Struct: oslorpc.Methods(Ports{})})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	client := t.Client(oslorpc.Target{Topic: "q-plugin", Version: "1.1"})
	fmt.Println(oslorpc.Call[string](ctx, client, "port_update", Port{ID: "p1"}))
	fmt.Println(oslorpc.Call[string](ctx, client, "port_update", Port{ID: "p2", Host: oslorpc.Some("node7")}))

	_, err = oslorpc.Call[string](ctx, client, "port_update", Port{})
	var remote *oslorpc.RemoteError
	fmt.Println(errors.As(err, &remote), remote.Message)

	_, err = oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithVersion("1.3")), "port_update", Port{ID: "p1"})
	fmt.Println(errors.Is(err, oslorpc.UnsupportedVersion), oslorpc.SafeToRetry(err))
	// Output:
	// updated p1 on any host <nil>
	// updated p2 on node7 <nil>
	// true a port needs an id
	// true true
}

// While servers are upgraded, the cap is the version of the oldest, and the client sends what it lets through.
func ExampleClient_CanSendVersionOf() {
	t, err := oslorpc.Open("memory://example-cap")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	client := t.Client(oslorpc.Target{Topic: "compute", Version: "1.0"}, oslorpc.WithVersionCap("1.4"))
	for _, version := range []string{"1.5", "1.4"} {
		can, err := client.CanSendVersionOf(context.Background(), version)
		fmt.Println(version, can, err)
	}
	// Output:
	// 1.5 false <nil>
	// 1.4 true <nil>
}

// The old form of a message goes to servers that do not know the new one.
func ExampleVariants() {
	t, err := oslorpc.Open("memory://example-variants")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	type resize11 struct {
		Disk int `json:"disk"`
	}
	type resize12 struct {
		Disk   int    `json:"disk"`
		Flavor string `json:"flavor"`
	}
	old := t.Server(oslorpc.Target{Topic: "compute", Server: "old"})
	old.Add(oslorpc.Endpoint{Version: "1.1", Methods: map[string]oslorpc.Method{
		"resize": oslorpc.Func(func(_ context.Context, args resize11) (string, error) { return fmt.Sprint(args.Disk, " GB"), nil }),
	}})
	if err := old.Start(ctx); err != nil {
		log.Fatal(err)
	}

	client := t.Client(oslorpc.Target{Topic: "compute"})
	disk, flavor := 20, "small"
	out, err := oslorpc.Call[string](ctx, client, "resize", oslorpc.Variants{
		oslorpc.At("1.2", resize12{Disk: disk, Flavor: flavor}), // to a server that knows flavors
		oslorpc.At("1.1", resize11{Disk: disk}),                 // else to one that does not
	})
	fmt.Println(out, err)
	// Output: 20 GB <nil>
}

func ExampleMulticall() {
	t, err := oslorpc.Open("memory://example-multicall")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	type upTo struct {
		N int `json:"n"`
	}
	server := t.Server(oslorpc.Target{Topic: "counters", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"count": oslorpc.Stream(func(_ context.Context, to upTo) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 1; n <= to.N && yield(n, nil); n++ {
				}
			}
		}),
	}})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	client := t.Client(oslorpc.Target{Topic: "counters"})
	for n, err := range oslorpc.Multicall[int](ctx, client, "count", upTo{N: 1000}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
		if n == 3 {
			break // cancels the method at the server
		}
	}
	// Output:
	// 1
	// 2
	// 3
}

func ExampleClient_Fanout() {
	t, err := oslorpc.Open("memory://example-fanout")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	for name, version := range map[string]string{"old": "1.0", "new1": "1.1", "new2": "1.1"} {
		server := t.Server(oslorpc.Target{Topic: "agents", Server: name})
		server.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{
			"refresh": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil }),
		}})
		if err := server.Start(ctx); err != nil {
			log.Fatal(err)
		}
	}
	report, err := t.Client(oslorpc.Target{Topic: "agents", Version: "1.1"}).Fanout(ctx, "refresh", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range report.Accepted {
		fmt.Println("accepted by", d.Instance.Server)
	}
	for _, d := range report.Skipped {
		fmt.Println("skipped", d.Instance.Server, "of", d.Instance.Implemented[0].Version)
	}
	// Output:
	// accepted by new1
	// accepted by new2
	// skipped old of 1.0
}

func ExampleGather() {
	t, err := oslorpc.Open("memory://example-gather")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	for name, free := range map[string]int{"host1": 3, "host2": 0, "host3": 8} {
		server := t.Server(oslorpc.Target{Topic: "compute", Server: name})
		server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"free": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (int, error) {
				if free == 0 {
					return 0, errors.New("the disk does not answer")
				}
				return free, nil
			}),
		}})
		if err := server.Start(ctx); err != nil {
			log.Fatal(err)
		}
	}
	client := t.Client(oslorpc.Target{Topic: "compute"})
	for r, err := range oslorpc.Gather[int](ctx, client, "free", nil) {
		if err != nil {
			var remote *oslorpc.RemoteError
			fmt.Println(r.Instance.Server, errors.As(err, &remote), remote.Message)
			continue
		}
		fmt.Println(r.Instance.Server, r.Value)
	}

	// Whatever is enough ends it: the first, n of them, or here the first that fits. The others are canceled.
	for r, err := range oslorpc.Gather[int](ctx, client, "free", nil, oslorpc.WithStall(5*time.Second)) {
		if err == nil && r.Value >= 5 {
			fmt.Println("one of", r.Expected, "is enough:", r.Instance.Server)
			break
		}
	}
	// Unordered output:
	// host1 3
	// host2 true the disk does not answer
	// host3 8
	// one of 3 is enough: host3
}
