package oslorpc_test

import (
	"context"
	"fmt"
	"log"
	"maps"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// audited adds to the request context who sends it.
type audited struct {
	oslorpc.NoSerializer
	program string
}

func (a audited) SerializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	dict = maps.Clone(dict)
	dict["sent_by"] = a.program
	return dict, nil
}

func ExampleWithSerializer() {
	t, err := oslorpc.Open("memory://example-serializer")
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"who": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
			dict := oslorpc.ContextFrom(ctx)
			return fmt.Sprint(dict["user"], " with ", dict["sent_by"]), nil
		}),
	}})
	if err := server.Start(ctx); err != nil {
		log.Fatal(err)
	}

	client := t.Client(oslorpc.Target{Topic: "q-plugin"}, oslorpc.WithSerializer(audited{program: "agent"}))
	ctx = oslorpc.WithContext(ctx, oslorpc.RequestContext{"user": "bob"})
	fmt.Println(oslorpc.Call[string](ctx, client, "who", nil))
	// Output:
	// bob with agent <nil>
}
