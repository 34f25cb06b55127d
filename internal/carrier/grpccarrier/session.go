package grpccarrier

import (
	"context"
	"fmt"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The following functions are for package session, whose messages share a stream of this carrier.

var sessionDesc = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// TakesSessions reports whether messages may share a stream: no code of the program and no proxy
// looks at each RPC, and no RPC needs its own token.
func (c *Carrier) TakesSessions() bool {
	return !c.intercepted && !c.config.Routing && c.config.Peers.Token == nil
}

// Explicit reports whether messages name the topic of their instance, in addition to its id.
func (c *Carrier) Explicit() bool { return c.config.Explicit }

// OpenSession opens the stream of a session. Meant is the server of the first message.
func (l Link) OpenSession(ctx context.Context, meant identity.Server) (grpc.ClientStream, error) {
	conn, err := l.connection() //nolint:contextcheck // The connection outlives the stream.
	if err != nil {
		return nil, err
	}
	return conn.NewStream(l.meaning(ctx, meant), sessionDesc, pb.RPCService_Session_FullMethodName,
		grpc.StaticMethod(), neverWait, neverReplay, grpc.MaxCallRecvMsgSize(wire.MaxFrame))
}

// PeerOf returns the process at the other end of a stream that the server has answered.
func PeerOf(stream grpc.ClientStream) (p rpc.Peer) {
	tellPeerOf(&carrier.Request{Peer: &p}, stream.Context)
	return p
}

// SessionMetadata returns the metadata of a request as a session sends it. It returns false if a
// session cannot send it.
func SessionMetadata(ctx context.Context, r *carrier.Request) (map[string][]string, bool) {
	if r.Metadata == nil {
		return nil, true
	}
	md, _ := metadata.FromOutgoingContext(withMetadata(ctx, r.Metadata))
	for name := range md {
		if !header.IsPlain(name, md[name]) {
			return nil, false
		}
	}
	return md, true
}

// SessionError returns the error of a message whose result is a status.
func (l Link) SessionError(ctx context.Context, r *carrier.Request, st *spb.Status) error {
	e := evidence{carrier: l.carrier, contract: r.Typed == nil, headers: true}
	e.streams.Store(1)
	err := status.FromProto(st).Err()
	ours := e.error(ctx, err)
	if r.Typed != nil {
		return rpcstatus.KeepStatus(ours, err)
	}
	return ours
}

// SessionResult returns the result of a dynamic call that is not JSON text.
func SessionResult(full *pb.CallResponse) (carrier.Reply, error) {
	result, err := resultText(full.GetResult())
	return carrier.Reply{Result: result}, err
}

// TakesResult returns an error if a result of n bytes is larger than the limit.
func (c *Carrier) TakesResult(n int, typed bool) error {
	limit := c.config.MaxSize
	if !typed {
		limit += connection.SizeSlack
	}
	if n <= limit {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
		"the method ran, and its result has %d bytes where this client takes %d: ask for less at a time, or raise MessageSize with WithLimits", n, limit)}
}
