package oslorpctest_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

type Ports struct{}

func (Ports) PortUpdate(_ context.Context, args struct {
	ID string `json:"id"`
}) (string, error) {
	return "updated " + args.ID, nil
}

// exampleT stands for the *testing.T of a test, since an example has none.
type exampleT struct{ cleanup []func() }

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.cleanup = append(t.cleanup, f) }
func (t *exampleT) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
func (t *exampleT) end()                              { t.cleanup[0]() }

func Example() {
	t := &exampleT{}
	defer t.end()
	ctx := context.Background()

	f := oslorpctest.New(t)
	node1 := f.Serve(oslorpc.Target{Topic: "q-plugin", Server: "node1"}, []oslorpc.Endpoint{{Struct: oslorpc.Methods(Ports{})}})
	c := f.Client(oslorpc.Target{Topic: "q-plugin"})
	fmt.Println(oslorpc.Call[string](ctx, c, "port_update", map[string]any{"id": "p1"}))

	// A server is killed while it has a message. The client cannot know whether the message ran.
	node1.Hold()
	failed := make(chan error)
	go func() {
		_, err := oslorpc.Call[string](ctx, c, "port_update", map[string]any{"id": "p2"})
		failed <- err
	}()
	f.Await(2)
	node1.Kill()
	fmt.Println(errors.Is(<-failed, oslorpc.OutcomeUnknown))

	for _, m := range f.Messages(oslorpctest.At("node1")) {
		fmt.Println(m.Delivery, m.Method, m.Args)
	}
	// Output:
	// updated p1 <nil>
	// true
	// call port_update {"id":"p1"}
	// call port_update {"id":"p2"}
}
