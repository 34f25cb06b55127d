package oslorpc

import (
	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/peer"
)

// connOf returns the gRPC connection of an attempt.
func connOf(a delivery.Attempt) (*grpc.ClientConn, error) {
	conn, err := peerOf(a).Conn()
	if err != nil {
		return nil, &Error{Kind: Unreachable, NotStarted: true, Cause: err, Message: err.Error()}
	}
	return conn, nil
}

func peerOf(a delivery.Attempt) *peer.Peer { return a.Entry.Link.(grpccarrier.Link).Peer }
