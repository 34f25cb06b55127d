package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type volumeArgs struct {
	ID string `json:"id"`
}

// Volumes is a Go type whose methods are called. ResizeV2 is newer than the others, and Audit is
// not for callers.
type Volumes struct{}

func (Volumes) Get(_ context.Context, args volumeArgs) (string, error) {
	return "volume " + args.ID, nil
}

func (Volumes) ResizeV2(_ context.Context, args volumeArgs) (string, error) {
	return "resized " + args.ID, nil
}

func (Volumes) Audit(context.Context) string { return "all is well" }

// startVolumes returns a transport with a server that has endpoints.
func startVolumes(endpoints []oslorpc.Endpoint, options ...oslorpc.ServerOption) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-endpoint", oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "volumes", Server: "node1"}, options...)
	server.Add(endpoints...)
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// printMethods prints what the servers of a topic offer.
func printMethods(t *oslorpc.Transport) {
	instances, err := t.Instances(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	info, err := t.Info(context.Background(), instances[0])
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range info.Servers[0].Endpoints {
		for _, m := range e.Methods {
			fmt.Println(m.Name, "since", m.Since, "deprecated since", m.DeprecatedSince)
		}
	}
}

// A server offers two major versions side by side. A message goes to the one that it asks for.
func ExampleEndpoint() {
	get1 := func(_ context.Context, args volumeArgs) (string, error) { return "volume " + args.ID, nil }
	get2 := func(_ context.Context, args volumeArgs) (volumeArgs, error) { return args, nil }
	t := startVolumes([]oslorpc.Endpoint{
		{Version: "1.4", Methods: map[string]oslorpc.Method{"get": oslorpc.Func(get1)}},
		{Version: "2.0", Methods: map[string]oslorpc.Method{"get": oslorpc.Func(get2)}},
	})
	defer t.Close()

	for _, version := range []string{"1.1", "2.0"} {
		client := t.Client(oslorpc.Target{Topic: "volumes", Version: version})
		fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "get", volumeArgs{"v1"}))
	}
	// Output:
	// "volume v1" <nil>
	// {"id":"v1"} <nil>
}

// A method is a function with typed arguments.
func ExampleFunc() {
	get := func(_ context.Context, args volumeArgs) (string, error) { return "volume " + args.ID, nil }
	t := startVolumes([]oslorpc.Endpoint{{Methods: map[string]oslorpc.Method{"get": oslorpc.Func(get)}}})
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "volumes"})

	fmt.Println(oslorpc.Call[string](ctx, client, "get", volumeArgs{"v1"}))
	_, err := oslorpc.Call[string](ctx, client, "get", map[string]any{"identifier": "v1"})
	fmt.Println(errors.Is(err, oslorpc.BadArguments), oslorpc.SafeToRetry(err))
	// Output:
	// volume v1 <nil>
	// true true
}

// A proxy takes every method, and passes it on.
func ExampleEndpoint_fallback() {
	var next *oslorpc.Client
	forward := func(ctx context.Context, args oslorpc.Raw) (oslorpc.Raw, error) {
		asked := oslorpc.MessageFrom(ctx)
		client := next.Prepare(oslorpc.WithVersion(asked.Target.Version))
		return oslorpc.Call[oslorpc.Raw](ctx, client, asked.Method, args)
	}
	t := startVolumes([]oslorpc.Endpoint{{Struct: oslorpc.Methods(Volumes{}).Omit("Audit")}})
	defer t.Close()
	next = t.Client(oslorpc.Target{Topic: "volumes"})

	proxy := t.Server(oslorpc.Target{Topic: "proxy", Server: "edge"})
	proxy.Add(oslorpc.Endpoint{Fallback: oslorpc.Func(forward)})
	if err := proxy.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(oslorpc.Call[string](context.Background(), t.Client(oslorpc.Target{Topic: "proxy"}), "get", volumeArgs{"v1"}))
	// Output:
	// volume v1 <nil>
}

// Marks say in which version a method was added, and since which version it is deprecated. Info
// shows them.
func ExampleMethod() {
	get := func(_ context.Context, args volumeArgs) (string, error) { return "volume " + args.ID, nil }
	t := startVolumes([]oslorpc.Endpoint{{Version: "1.4", Methods: map[string]oslorpc.Method{
		"get":        oslorpc.Func(get).Deprecated("1.3"),
		"get_volume": oslorpc.Func(get).Since("1.3"),
	}}})
	defer t.Close()

	printMethods(t)
	// Output:
	// get since 0.0 deprecated since 1.3
	// get_volume since 1.3 deprecated since 0.0
}

// The methods of a Go value get names in snake case.
func ExampleMethods() {
	methods := oslorpc.Methods(Volumes{}).
		Omit("Audit").
		Since("1.1", "ResizeV2").
		Deprecated("1.2", "Get").
		Expect("Get", ErrNoVolume)
	t := startVolumes([]oslorpc.Endpoint{{Version: "1.2", Struct: methods}})
	defer t.Close()

	printMethods(t)
	// Output:
	// get since 0.0 deprecated since 1.2
	// resize_v2 since 1.1 deprecated since 0.0
}

// ErrNoVolume is an error that Get is expected to return.
var ErrNoVolume = errors.New("no such volume")

func ExampleStructMethods_Rename() {
	methods := oslorpc.Methods(Volumes{}).Omit("Audit").Rename("Get", "get_volume")
	t := startVolumes([]oslorpc.Endpoint{{Struct: methods}})
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "volumes"})
	fmt.Println(oslorpc.Call[string](context.Background(), client, "get_volume", volumeArgs{"v1"}))
	// Output:
	// volume v1 <nil>
}

func ExampleStructMethods_DigitsAsWords() {
	methods := oslorpc.Methods(Volumes{}).Omit("Audit").DigitsAsWords()
	t := startVolumes([]oslorpc.Endpoint{{Struct: methods}})
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "volumes"})
	fmt.Println(oslorpc.Call[string](context.Background(), client, "resize_v_2", volumeArgs{"v1"}))
	// Output:
	// resized v1 <nil>
}

// With the policy AllowExposed, callers reach exposed methods only.
func ExampleWithAccessPolicy() {
	exposed := oslorpc.WithAccessPolicy(oslorpc.AllowExposed)
	t := startVolumes([]oslorpc.Endpoint{{Struct: oslorpc.Methods(Volumes{}).Omit("Audit").Expose("Get")}}, exposed)
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "volumes"})

	fmt.Println(oslorpc.Call[string](ctx, client, "get", volumeArgs{"v1"}))
	_, err := oslorpc.Call[string](ctx, client, "resize_v2", volumeArgs{"v1"})
	fmt.Println(errors.Is(err, oslorpc.NoSuchMethod))
	// Output:
	// volume v1 <nil>
	// true
}

func ExampleMethod_Expose() {
	get := func(_ context.Context, args volumeArgs) (string, error) { return "volume " + args.ID, nil }
	t := startVolumes([]oslorpc.Endpoint{{Methods: map[string]oslorpc.Method{
		"get":     oslorpc.Func(get).Expose(),
		"get_all": oslorpc.Func(get),
	}}}, oslorpc.WithAccessPolicy(oslorpc.AllowExposed))
	defer t.Close()

	printMethods(t)
	// Output:
	// get since 0.0 deprecated since 0.0
}
