package intake

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Attach asks the gate whether a caller may attach a server to the process, which is a gateway.
func (i *Intake) Attach(ctx context.Context, in *rpc.Instance, from dispatch.Origin, claimed string) error {
	if i.config.Gate == nil {
		return nil
	}
	return i.config.Gate.Enter(ctx, callerOf(from, claimed), &policy.Query{
		Exchange: in.Exchange, Topic: in.Topic, Server: in.Server, Method: "Attach", Delivery: rpc.DeliveryAttach,
	})
}
