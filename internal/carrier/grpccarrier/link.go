package grpccarrier

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Link is the way to one remote process. Links to the same connection are equal.
type Link struct {
	*peer.Peer

	carrier *Carrier
}

// Do implements [carrier.Link].
func (l Link) Do(context.Context, *carrier.Request) (carrier.Reply, error) {
	return carrier.Reply{}, &rpc.Error{Kind: rpc.Invalid, NotStarted: true}
}

// Open implements [carrier.Link].
func (l Link) Open(context.Context, *carrier.Request) (carrier.Stream, error) {
	return nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true}
}

// Ping implements [carrier.Link].
func (l Link) Ping(ctx context.Context, instanceID string) error {
	conn, err := l.Conn() //nolint:contextcheck // The connection outlives the question.
	if err != nil {
		return err
	}
	if _, err := pb.NewIntrospectionServiceClient(conn).Ping(ctx, &pb.PingRequest{InstanceId: instanceID}); err != nil {
		return rpcstatus.Evidence{Sent: true, Contract: true}.Decode(err)
	}
	return nil
}
