package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type resizeArgs11 struct {
	Disk int `json:"disk"`
}

type resizeArgs12 struct {
	Disk   int                 `json:"disk"`
	Flavor oslorpc.Opt[string] `json:"flavor"` // messages of 1.1 have none
}

func resize11(_ context.Context, a resizeArgs11) (string, error) {
	return fmt.Sprintf("%d GB", a.Disk), nil
}

func resize12(_ context.Context, a resizeArgs12) (string, error) {
	return fmt.Sprintf("%s with %d GB", a.Flavor.Or("as before"), a.Disk), nil
}

// startComputes returns a transport with one server at 1.2 and one that is not upgraded yet.
func startComputes() *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-versions", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	for name, endpoint := range map[string]oslorpc.Endpoint{
		"old": {Version: "1.1", Methods: map[string]oslorpc.Method{"resize": oslorpc.Func(resize11)}},
		"new": {Version: "1.2", Methods: map[string]oslorpc.Method{"resize": oslorpc.Func(resize12)}},
	} {
		server := t.Server(oslorpc.Target{Topic: "compute", Server: name})
		server.Add(endpoint)
		if err := server.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	return t
}

// A message goes to a server that implements its version.
func ExampleWithVersion() {
	t := startComputes()
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "compute"})

	fmt.Println(oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithVersion("1.2")), "resize", resizeArgs12{20, oslorpc.Some("small")}))

	_, err := oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithVersion("1.3")), "resize", resizeArgs12{20, oslorpc.Some("small")})
	fmt.Println(errors.Is(err, oslorpc.UnsupportedVersion), oslorpc.SafeToRetry(err))
	// Output:
	// small with 20 GB <nil>
	// true true
}

// Variants are one message in several forms, each for a version. The first one that a server can
// take is sent.
func ExampleVariants() {
	t := startComputes()
	defer t.Close()
	ctx, client := context.Background(), t.Client(oslorpc.Target{Topic: "compute"})

	resize := oslorpc.Variants{
		oslorpc.At("1.2", resizeArgs12{Disk: 20, Flavor: oslorpc.Some("small")}), // for servers that know flavors
		oslorpc.At("1.1", resizeArgs11{Disk: 20}),                                // for other servers
	}
	fmt.Println(oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithServer("new")), "resize", resize))
	fmt.Println(oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithServer("old")), "resize", resize))
	// Output:
	// small with 20 GB <nil>
	// 20 GB <nil>
}

// A version cap forbids messages of later versions, before they are sent.
func ExampleWithVersionCap() {
	t := startComputes()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute", Version: "1.2"}, oslorpc.WithVersionCap("1.1"))
	_, err := oslorpc.Call[string](context.Background(), client, "resize", resizeArgs12{20, oslorpc.Some("small")})
	fmt.Println(errors.Is(err, oslorpc.VersionCapExceeded))
	// Output:
	// true
}

// The automatic cap is the version of the oldest server.
func ExampleWithVersionCap_auto() {
	t := startComputes()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute"}, oslorpc.WithVersionCap(oslorpc.AutoCap))
	for _, version := range []string{"1.1", "1.2"} {
		can, err := client.CanSendVersionOf(context.Background(), version)
		fmt.Println(version, can, err)
	}
	// Output:
	// 1.1 true <nil>
	// 1.2 false <nil>
}

// An operator sets the cap to the name of a release.
func ExampleWithVersionAliases() {
	t := startComputes()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute", Version: "1.2"},
		oslorpc.WithVersionAliases(map[string]string{"dalmatian": "1.1", "epoxy": "1.2"}),
		oslorpc.WithVersionCap("dalmatian"))
	fmt.Println(client.CanSendVersion(context.Background()))
	// Output:
	// false <nil>
}

// A program asks which version it may send, and sends what fits. Variants do both in one step.
func ExampleClient_CanSendVersion() {
	t := startComputes()
	defer t.Close()
	ctx := context.Background()

	client := t.Client(oslorpc.Target{Topic: "compute", Server: "old", Version: "1.2"}, oslorpc.WithVersionCap("1.1"))
	can, err := client.CanSendVersion(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if can {
		fmt.Println(oslorpc.Call[string](ctx, client, "resize", resizeArgs12{20, oslorpc.Some("small")}))
	} else {
		fmt.Println(oslorpc.Call[string](ctx, client.Prepare(oslorpc.WithVersion("1.1")), "resize", resizeArgs11{20}))
	}
	// Output:
	// 20 GB <nil>
}

// Why explains a cap: here, which server holds it down.
func ExampleClient_Why() {
	t := startComputes()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "compute"}, oslorpc.WithVersionCap(oslorpc.AutoCap))
	why, err := client.Why(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(why.Version, "because of", why.Holders[0].Server)
	// Output:
	// 1.1 because of old
}
