package oslorpc_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// audited adds the name of the sending program to the request context.
type audited struct {
	oslorpc.NoSerializer
	program string
}

func (a audited) SerializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	dict = maps.Clone(dict)
	dict["sent_by"] = a.program
	return dict, nil
}

// shouting sends each text in capital letters.
type shouting struct{ oslorpc.NoSerializer }

func (shouting) SerializeEntity(_ context.Context, entity any) (any, error) {
	if text, ok := entity.(string); ok {
		return strings.ToUpper(text), nil
	}
	return entity, nil
}

// startWho returns a transport with a server that says which program asks for which user.
func startWho(options ...oslorpc.ServerOption) *oslorpc.Transport {
	t, err := oslorpc.Open("memory://example-serializer", oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	server := t.Server(oslorpc.Target{Topic: "q-plugin", Server: "node1"}, options...)
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"who": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
			dict := oslorpc.ContextFrom(ctx)
			return fmt.Sprint(dict["user"], " with ", dict["sent_by"]), nil
		}),
	}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return t
}

// The serializer of a client changes what it sends: here, the request context.
func ExampleWithSerializer() {
	t := startWho()
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "q-plugin"}, oslorpc.WithSerializer(audited{program: "agent"}))
	ctx := oslorpc.WithContext(context.Background(), oslorpc.RequestContext{"user": "bob"})
	fmt.Println(oslorpc.Call[string](ctx, client, "who", nil))
	// Output:
	// bob with agent <nil>
}

// The serializer of a server changes what it sends: here, results.
func ExampleWithSerializer_server() {
	t := startWho(oslorpc.WithSerializer(shouting{}))
	defer t.Close()

	ctx := oslorpc.WithContext(context.Background(), oslorpc.RequestContext{"user": "bob", "sent_by": "agent"})
	fmt.Println(oslorpc.Call[string](ctx, t.Client(oslorpc.Target{Topic: "q-plugin"}), "who", nil))
	// Output:
	// BOB WITH AGENT <nil>
}
