package oslorpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// startWithMethod returns a client of a server with one method, "m".
func startWithMethod(m oslorpc.Method) (*oslorpc.Client, *oslorpc.Transport) {
	t, err := oslorpc.Open("memory://example-arguments", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "topic", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"m": m}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t.Client(oslorpc.Target{Topic: "topic"}), t
}

// A caller may leave out an Opt, and the server knows whether it did.
func ExampleOpt() {
	type args struct {
		Name string              `json:"name"`
		Host oslorpc.Opt[string] `json:"host"`
	}
	client, t := startWithMethod(oslorpc.Func(func(_ context.Context, a args) (string, error) {
		if host, given := a.Host.Get(); given {
			return a.Name + " on " + host, nil
		}
		return a.Name + " on " + a.Host.Or("any host"), nil
	}))
	defer t.Close()
	ctx := context.Background()

	fmt.Println(oslorpc.Call[string](ctx, client, "m", args{Name: "vm1", Host: oslorpc.Some("node7")}))
	fmt.Println(oslorpc.Call[string](ctx, client, "m", args{Name: "vm2"}))
	fmt.Println(args{}.Host.IsZero())
	// Output:
	// vm1 on node7 <nil>
	// vm2 on any host <nil>
	// true
}

// Arguments that the struct lacks are an error, unless an Extra takes them.
func ExampleExtra() {
	type args struct {
		Name string `json:"name"`
		oslorpc.Extra
	}
	client, t := startWithMethod(oslorpc.Func(func(_ context.Context, a args) (string, error) {
		return fmt.Sprint(a.Name, " ", a.Extra["size"]), nil
	}))
	defer t.Close()

	fmt.Println(oslorpc.Call[string](context.Background(), client, "m", map[string]any{"name": "vm1", "size": 3}))
	// Output:
	// vm1 3 <nil>
}

// A method that passes arguments on need not decode them.
func ExampleRaw() {
	client, t := startWithMethod(oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (bool, error) {
		return json.Valid([]byte(args)), nil
	}))
	defer t.Close()

	fmt.Println(oslorpc.Call[bool](context.Background(), client, "m", oslorpc.Raw(`{"any": ["thing"]}`)))
	// Output:
	// true <nil>
}

// The request context travels with each message, and with the messages that its method sends.
func ExampleWithContext() {
	client, t := startWithMethod(oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		return fmt.Sprint("the user is ", oslorpc.ContextFrom(ctx)["user"]), nil
	}))
	defer t.Close()

	ctx := oslorpc.WithContext(context.Background(), oslorpc.RequestContext{"user": "alice"})
	fmt.Println(oslorpc.Call[string](ctx, client, "m", nil))
	// Output:
	// the user is alice <nil>
}

// MessageFrom tells a method about the message that it runs for.
func ExampleMessageFrom() {
	client, t := startWithMethod(oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) ([]string, error) {
		m := oslorpc.MessageFrom(ctx)
		return []string{string(m.Delivery), m.Method, m.Target.Topic, m.Target.Version}, nil
	}))
	defer t.Close()

	words, err := oslorpc.Call[[]string](context.Background(), client, "m", nil)
	fmt.Println(words, err)
	// Output:
	// [call m topic 1.0] <nil>
}
