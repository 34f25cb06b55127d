package oslorpc

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/introspection"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Instance is one server in one process, as discovery knows it; see [rpc.Instance].
type Instance = rpc.Instance

// The states of an instance; see package rpc for what each means.
const (
	StateActive   = rpc.StateActive
	StateHeld     = rpc.StateHeld     // see [WithHold]
	StateDraining = rpc.StateDraining // see [Server.Drain]
	StateStopping = rpc.StateStopping // only in [Transport.Info]
)

// Instances returns all instances that discovery lists now, in all exchanges, ordered by exchange,
// topic, server and id.
func (t *Transport) Instances(ctx context.Context) ([]Instance, error) {
	list, err := t.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	discovery.Sort(list)
	return list, nil
}

// Ping returns how long an instance takes to answer, over a connection that is up. It does not pass through the server's queue.
func (t *Transport) Ping(ctx context.Context, i Instance) (time.Duration, error) {
	var took time.Duration
	err := t.ask(ctx, i, func(ctx context.Context, conn *grpc.ClientConn) error {
		start := time.Now()
		_, err := pb.NewIntrospectionServiceClient(conn).Ping(ctx, &pb.PingRequest{InstanceId: i.ID})
		took = time.Since(start)
		return err
	})
	return took, err
}

// InfoOption changes what [Transport.Info] asks for.
type InfoOption interface{ applyInfo(*pb.GetInfoRequest) }

type infoOption func(*pb.GetInfoRequest)

func (o infoOption) applyInfo(r *pb.GetInfoRequest) { o(r) }

// WithRequests makes [Transport.Info] also return how many messages the servers accepted and
// refused, and when, for each method, version and caller. A server with very many callers sends up
// to a megabyte.
func WithRequests() InfoOption {
	return infoOption(func(r *pb.GetInfoRequest) { r.Requests = true })
}

// Info returns what the process of an instance reports about itself and about its servers on the
// instance's topic.
func (t *Transport) Info(ctx context.Context, i Instance, options ...InfoOption) (*rpc.Info, error) {
	request := &pb.GetInfoRequest{Topic: &i.Topic}
	for _, o := range options {
		o.applyInfo(request)
	}
	var info *rpc.Info
	err := t.ask(ctx, i, func(ctx context.Context, conn *grpc.ClientConn) error {
		reply, err := pb.NewIntrospectionServiceClient(conn).GetInfo(ctx, request)
		if err == nil {
			info = introspection.Decode(reply)
		}
		return err
	})
	return info, err
}

// DefaultAskTimeout bounds [Transport.Ping] and [Transport.Info] if ctx has no deadline.
const DefaultAskTimeout = 10 * time.Second

// ask connects to an instance and does something with the connection.
func (t *Transport) ask(ctx context.Context, i Instance, do func(context.Context, *grpc.ClientConn) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultAskTimeout)
		defer cancel()
	}
	p, err := t.enter(ctx, &i)
	defer t.carrier.Put(p)
	switch {
	case errors.Is(err, net.ErrClosed):
		return errClosed()
	case err != nil:
		return about(&i, &Error{Kind: Unreachable, NotStarted: true, Cause: err, Message: p.Explain(i.Server, err)})
	}
	defer p.Release()
	conn, err := p.Conn() //nolint:contextcheck // The connection outlives the call.
	if err != nil {
		return err
	}
	if err := do(ctx, conn); err != nil {
		return about(&i, unanswered(p, i.Server, rpcstatus.Evidence{Sent: true, Contract: true}.Decode(err)))
	}
	return nil
}

// enter connects to the peer of an instance and has it ready for a question, to be released if
// there is no error. It is to be put back in any case. While messages use all streams of the
// connection, it is one with a connection of its own.
func (t *Transport) enter(ctx context.Context, i *Instance) (grpccarrier.Link, error) {
	key := carrier.Key{Addr: i.Addr, BootID: i.BootID}
	p := t.carrier.Get(key).(grpccarrier.Link)
	err := enterPeer(ctx, p, 0)
	if !errors.Is(err, carrier.ErrFull) {
		return p, err
	}
	t.carrier.Put(p)
	key.BootID += " asked"
	p = t.carrier.Get(key).(grpccarrier.Link)
	return p, enterPeer(ctx, p, DefaultAskTimeout)
}

func enterPeer(ctx context.Context, p grpccarrier.Link, patience time.Duration) error {
	if err := p.Connect(ctx); err != nil {
		return err
	}
	return p.Enter(ctx, patience) // what is outstanding at a peer shows whether it answers
}

// unanswered adds to the error of a question what is wrong with the peer, if the peer answers
// nothing.
func unanswered(p grpccarrier.Link, server string, e *Error) *Error {
	switch p.Health() {
	case carrier.Silent, carrier.Down:
		e.Message = p.Explain(server, errors.New(e.Message))
	}
	return e
}

// about makes an error name an instance.
func about(i *Instance, e *Error) error {
	e.Server, e.InstanceID, e.Addr = i.Server, i.ID, i.Addr
	return e
}

// Instance returns the server as discovery lists it, with the address that others connect to; false if it does not run.
func (s *Server) Instance() (Instance, bool) {
	t := s.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil {
		return Instance{}, false
	}
	for _, m := range t.host.members {
		if m.owner == s {
			return m.instance(), true
		}
	}
	return Instance{}, false
}
