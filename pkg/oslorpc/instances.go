package oslorpc

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Instance is one server in one process, as discovery knows it; see [rpc.Instance]. It has the
// method [rpc.Instance.Equal].
type Instance = rpc.Instance

// The states of an instance; see package rpc for what each means.
const (
	StateActive   = rpc.StateActive
	StateHeld     = rpc.StateHeld     // see [WithHold]
	StateDraining = rpc.StateDraining // see [Server.Drain]
	StateStopping = rpc.StateStopping // only in [Transport.Info]
)

// Instances returns all instances that discovery currently lists, in all exchanges, ordered by
// exchange, topic, server and id.
func (t *Transport) Instances(ctx context.Context) ([]Instance, error) {
	list, err := t.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	registry.Sort(list)
	return list, nil
}

// Ping returns the round-trip time to an instance. It connects first if necessary; the time to
// connect does not count. A ping does not pass through the server's queue.
func (t *Transport) Ping(ctx context.Context, i Instance) (time.Duration, error) {
	return t.clients.Ping(ctx, i)
}

// InfoOption adds to what [Transport.Info] asks for.
type InfoOption interface{ applyInfo(*infoRequest) }

type infoOption func(*infoRequest)

func (o infoOption) applyInfo(r *infoRequest) { o(r) }

// infoRequest is what [Transport.Info] asks for.
type infoRequest struct{ requests bool }

// WithRequests makes [Transport.Info] also return how many messages the servers accepted and
// refused, and when, for each method, version and caller. A server with very many callers sends up
// to a megabyte.
func WithRequests() InfoOption {
	return infoOption(func(r *infoRequest) { r.requests = true })
}

// Info returns what the process of an instance reports about itself and about its servers on the
// instance's topic.
func (t *Transport) Info(ctx context.Context, i Instance, options ...InfoOption) (*rpc.Info, error) {
	var r infoRequest
	for _, o := range options {
		o.applyInfo(&r)
	}
	return t.clients.Info(ctx, i, r.requests)
}

// DefaultAskTimeout bounds [Transport.Ping] and [Transport.Info] if ctx has no deadline.
const DefaultAskTimeout = client.DefaultAskTimeout

// Instance returns the server as discovery lists it, with the address that other programs connect
// to. The result is false if the server does not run.
func (s *Server) Instance() (Instance, bool) { return s.hosted.Instance() }
