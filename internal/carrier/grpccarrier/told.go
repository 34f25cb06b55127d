package grpccarrier

import (
	"context"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// tellPeer sets the Peer of a request, if the sender wants it, and if gRPC connected.
func tellPeer(r *carrier.Request, opened *grpcpeer.Peer) {
	if r.Peer == nil || !hasPeer(opened) {
		return
	}
	*r.Peer = rpc.Peer{}
	if opened.Addr != nil {
		r.Peer.Addr = opened.Addr.String()
	}
	if secured, ok := opened.AuthInfo.(credentials.TLSInfo); ok {
		r.Peer.TLS, r.Peer.Identity = &secured.State, identity.Certified(&secured.State)
	}
}

// tellPeerOf is tellPeer for an open stream with the context ctx.
func tellPeerOf(r *carrier.Request, ctx func() context.Context) {
	if r.Peer == nil { // asking a stream for its context keeps gRPC from some repetitions
		return
	}
	if opened, ok := grpcpeer.FromContext(ctx()); ok {
		tellPeer(r, opened)
	}
}
