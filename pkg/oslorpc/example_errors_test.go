package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// PortInUse is an error of a program, with fields.
type PortInUse struct {
	Port string `json:"port"`
	By   string `json:"by"`
}

func (e *PortInUse) Error() string { return "port " + e.Port + " is in use" }

// ErrNoPort is an error of a program without fields.
var ErrNoPort = errors.New("no such port")

type portID struct {
	ID string `json:"id"`
}

// bind is a method that fails.
func bind(_ context.Context, p portID) (any, error) {
	if p.ID == "" {
		return nil, ErrNoPort
	}
	return nil, fmt.Errorf("bind: %w", &PortInUse{Port: p.ID, By: "vm7"})
}

// startBinder returns a transport with a server whose method bind fails. Clients and servers are
// mostly in different programs, and each of them registers the errors.
func startBinder(m oslorpc.Method, logger *slog.Logger) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-errors", oslorpc.WithStopGrace(0), oslorpc.WithLogger(logger),
		oslorpc.WithErrorType[*PortInUse]("ports.InUse"),
		oslorpc.WithErrorValue("ports.None", ErrNoPort))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "ports", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"bind": m}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// A registered error arrives as the same Go type, with its fields.
func ExampleWithErrorType() {
	t := startBinder(oslorpc.Func(bind), slog.New(slog.DiscardHandler))
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"})
	_, err := oslorpc.Call[any](context.Background(), client, "bind", portID{"p1"})
	if used, ok := errors.AsType[*PortInUse](err); ok {
		fmt.Println(used.Port, "is used by", used.By)
	}
	// Output:
	// p1 is used by vm7
}

// A registered error value arrives as the same value.
func ExampleWithErrorValue() {
	t := startBinder(oslorpc.Func(bind), slog.New(slog.DiscardHandler))
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"})
	_, err := oslorpc.Call[any](context.Background(), client, "bind", portID{})
	fmt.Println(errors.Is(err, ErrNoPort))
	// Output:
	// true
}

// Any error of a method arrives as a RemoteError.
func ExampleRemoteError() {
	t := startBinder(oslorpc.Func(bind), slog.New(slog.DiscardHandler))
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"})
	_, err := oslorpc.Call[any](context.Background(), client, "bind", portID{"p1"})
	if remote, ok := errors.AsType[*oslorpc.RemoteError](err); ok {
		fmt.Println(remote.Type, remote.Hops, remote.Message)
	}
	// Output:
	// ports.InUse [node1] bind: port p1 is in use
}

// The kind of an error says what went wrong with a message.
func ExampleKindOf() {
	t := startBinder(oslorpc.Func(bind), slog.New(slog.DiscardHandler))
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"}, oslorpc.WithFailFast(true))
	for _, send := range []struct{ topic, method string }{{"ports", "bind"}, {"ports", "binds"}, {"nets", "bind"}} {
		_, err := oslorpc.Call[any](context.Background(), client.Prepare(oslorpc.WithTopic(send.topic)), send.method, portID{"p1"})
		switch oslorpc.KindOf(err) {
		case oslorpc.Remote:
			fmt.Println("the method failed")
		case oslorpc.NoInstance, oslorpc.Refused, oslorpc.Unreachable:
			fmt.Println("no server took the message")
		default:
			fmt.Println(oslorpc.KindOf(err))
		}
	}
	// Output:
	// the method failed
	// no such method
	// no server took the message
}

// A message that provably did not run can be sent again.
func ExampleSafeToRetry() {
	t := startBinder(oslorpc.Func(bind), slog.New(slog.DiscardHandler))
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"}, oslorpc.WithFailFast(true))
	_, err := oslorpc.Call[any](context.Background(), client.Prepare(oslorpc.WithTopic("nets")), "bind", portID{"p1"})
	fmt.Println(oslorpc.SafeToRetry(err), oslorpc.IsNotDelivered(err))

	_, err = oslorpc.Call[any](context.Background(), client, "bind", portID{"p1"})
	fmt.Println(oslorpc.SafeToRetry(err), oslorpc.IsNotDelivered(err))
	// Output:
	// true true
	// false false
}

// A server logs errors that a method is expected to return at debug level only.
func ExampleMethod_Expect() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelInfo}))
	t := startBinder(oslorpc.Func(bind).Expect(ErrNoPort, oslorpc.ErrorType[*PortInUse]()), logger)
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "ports"})
	_, err := oslorpc.Call[any](context.Background(), client, "bind", portID{})
	fmt.Println(oslorpc.KindOf(err))
	// Output:
	// remote error
}
