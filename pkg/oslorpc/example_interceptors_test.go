package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type roleKey struct{}

// startGuarded returns a transport whose interceptor sends a role with each message, and refuses
// messages of guests.
func startGuarded(role string) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-interceptors", oslorpc.WithStopGrace(0),
		oslorpc.WithInterceptors(oslorpc.Interceptor{
			// At a client, before the message is sent.
			Send: func(ctx context.Context, m *oslorpc.Message, next rpc.Next) error {
				m.Metadata.Set("role", role)
				return next(ctx)
			},
			// At a server, before it accepts the message.
			Accept: func(ctx context.Context, m *oslorpc.Message) (context.Context, error) {
				if m.Metadata.Get("role") == "guest" {
					return nil, errors.New("guests may not call " + m.Method)
				}
				return context.WithValue(ctx, roleKey{}, m.Metadata.Get("role")), nil
			},
		}))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "volumes", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"role": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) { return ctx.Value(roleKey{}), nil }),
	}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// Interceptors see every message, however it is delivered. Methods see their context values.
func ExampleWithInterceptors() {
	t := startGuarded("admin")
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "volumes"})
	fmt.Println(oslorpc.Call[string](context.Background(), client, "role", nil))
	// Output:
	// admin <nil>
}

// The sender of a message that an interceptor refuses gets an error, also for a cast.
func ExampleWithInterceptors_refusal() {
	t := startGuarded("guest")
	defer t.Close()

	err := t.Client(oslorpc.Target{Topic: "volumes"}).Cast(context.Background(), "role", nil)
	fmt.Println(errors.Is(err, oslorpc.AccessDenied), oslorpc.SafeToRetry(err))
	// Output:
	// true true
}
