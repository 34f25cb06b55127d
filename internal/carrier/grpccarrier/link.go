package grpccarrier

import (
	"context"

	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/introspection"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Link is the link to one remote process. Links with the same connection are equal.
type Link struct {
	*peer.Peer

	carrier *Carrier
}

// Unlist implements [carrier.Link]. It does nothing, because an RPC ends with its connection.
func (l Link) Unlist(bool) {}

// Do implements [carrier.Link].
func (l Link) Do(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	conn, err := l.connection() //nolint:contextcheck // The connection outlives the message.
	ctx, r = l.meaning(ctx, r.Meant), l.carrier.routed(r)
	switch {
	case err != nil:
		return carrier.Reply{}, err
	case r.Typed != nil:
		return carrier.Reply{}, l.typed(ctx, conn, r)
	case r.Mode == carrier.Cast:
		return carrier.Reply{}, l.cast(ctx, conn, r)
	case r.Silence > 0:
		return l.monitoredCall(ctx, conn, r)
	default:
		return l.call(ctx, conn, r)
	}
}

// Open implements [carrier.Link].
func (l Link) Open(ctx context.Context, r *carrier.Request) (carrier.Stream, error) {
	conn, err := l.connection() //nolint:contextcheck // The connection outlives the message.
	ctx, r = l.meaning(ctx, r.Meant), l.carrier.routed(r)
	switch {
	case err != nil:
		return nil, err
	case r.Typed != nil:
		return l.typedStream(ctx, conn, r)
	default:
		return l.multicall(ctx, conn, r)
	}
}

// meaning adds the intended server to the context of an RPC, if the identity of the server or a
// token is checked before sending.
func (l Link) meaning(ctx context.Context, s identity.Server) context.Context {
	if l.carrier.config.Peers.Identity == nil && l.carrier.config.Peers.Token == nil {
		return ctx
	}
	return peer.Meaning(ctx, s)
}

// connection returns the connection, which may not be connected.
func (l Link) connection() (*grpc.ClientConn, error) {
	conn, err := l.Conn()
	switch {
	case err == nil:
		return conn, nil
	case l.carrier.closed.Load():
		return nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Cause: err, Message: closedBefore}
	default:
		return nil, &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: err.Error()}
	}
}

// Ping implements [carrier.Link].
func (l Link) Ping(ctx context.Context, meant identity.Server, instanceID string) error {
	return l.ask(ctx, meant, func(ctx context.Context, c pb.IntrospectionServiceClient, options ...grpc.CallOption) error {
		_, err := c.Ping(ctx, &pb.PingRequest{InstanceId: instanceID}, options...)
		return err
	})
}

// Info implements [carrier.Link].
func (l Link) Info(ctx context.Context, meant identity.Server, instanceID string, requests bool) (info *rpc.Info, err error) {
	m, err := l.Describe(ctx, meant, instanceID, requests)
	if err != nil {
		return nil, err
	}
	return introspection.Decode(m.(*pb.GetInfoResponse)), nil
}

// Describe implements [carrier.Describer].
func (l Link) Describe(ctx context.Context, meant identity.Server, instanceID string, requests bool) (info proto.Message, err error) {
	err = l.ask(ctx, meant, func(ctx context.Context, c pb.IntrospectionServiceClient, options ...grpc.CallOption) error {
		info, err = c.GetInfo(ctx, &pb.GetInfoRequest{Topic: &meant.Topic, Requests: requests, InstanceId: instanceID}, options...)
		return err
	})
	return info, err
}

// ask sends an introspection request to the process.
func (l Link) ask(ctx context.Context, meant identity.Server, question func(context.Context, pb.IntrospectionServiceClient, ...grpc.CallOption) error) error {
	conn, err := l.connection() //nolint:contextcheck // The connection outlives the question.
	if err != nil {
		return err
	}
	ctx = l.meaning(ctx, meant)
	if l.carrier.config.Routing {
		ctx = header.Write(ctx, &header.Request{Exchange: meant.Exchange, Topic: meant.Topic, Server: meant.Name})
	}
	var opened grpcpeer.Peer
	options := []grpc.CallOption{grpc.Peer(&opened)}
	if !l.carrier.intercepted {
		options = append(options, l.carrier.limit)
	}
	if err := question(ctx, pb.NewIntrospectionServiceClient(conn), options...); err != nil {
		if refused := peer.Refused(ctx); refused != nil {
			return refused
		}
		return rpcstatus.Evidence{Sent: l.carrier.intercepted || hasPeer(&opened), Contract: true}.Decode(err)
	}
	return nil
}
