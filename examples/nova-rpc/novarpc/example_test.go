package novarpc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type computeManager struct{}

func (computeManager) GetHostUptime(ctx context.Context) (string, error) {
	return fmt.Sprintf("3 days, for %s", oslorpc.ContextFrom(ctx)["user_id"]), nil
}

// A service consumes a topic in Nova's three ways. A client calls it by host.
func Example() {
	transport, err := oslorpc.Open("memory://example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	rpc := novarpc.New(transport)
	ctx := oslorpc.WithContext(context.Background(), oslorpc.RequestContext{"user_id": "alice"})

	const host = "node1.example.org"
	conn, manager := rpc.CreateConnection(host), computeManager{}
	err = errors.Join(
		conn.CreateConsumer(novarpc.Topic("compute"), manager, false),
		conn.CreateConsumer(novarpc.QueueGetFor("compute", host), manager, false),
		conn.CreateConsumer(novarpc.Topic("compute"), manager, true),
		conn.ConsumeInThread(ctx),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close(ctx)

	fmt.Println(novarpc.Call[string](ctx, rpc, novarpc.QueueGetFor("compute", host), novarpc.Msg{Method: "get_host_uptime"}))
	// Output: 3 days, for alice <nil>
}
