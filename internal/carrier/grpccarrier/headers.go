package grpccarrier

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// withMetadata returns ctx with the metadata of a request, except for our own headers. If a program
// passes on the metadata of a message that it serves, our headers in it describe that message.
func withMetadata(ctx context.Context, md rpc.Metadata) context.Context {
	if md == nil {
		return ctx
	}
	return header.Write(metadata.NewOutgoingContext(ctx, metadata.MD(md)), &header.Request{})
}

// headed returns ctx with the metadata of a request and, with Routing, with headers that repeat the
// request's fields.
func (c *Carrier) headed(ctx context.Context, r *carrier.Request) context.Context {
	if !c.config.Routing {
		return withMetadata(ctx, r.Metadata)
	}
	h := routing(r)
	if v, err := rpc.ParseVersion(r.Target.Version); err == nil { // else the server refuses the request
		h.Version, h.HasVersion = v, true
	}
	if r.Metadata != nil {
		ctx = metadata.NewOutgoingContext(ctx, metadata.MD(r.Metadata))
	}
	return header.Write(ctx, &h)
}

// routed returns the request with the name of the chosen server, so that it agrees with the
// headers.
func (c *Carrier) routed(r *carrier.Request) *carrier.Request {
	if !c.config.Routing || r.Target.Server == r.Meant.Name || r.Meant.Name == "" {
		return r
	}
	named := *r
	named.Target.Server = r.Meant.Name
	return &named
}

// routing returns the headers that identify the server.
func routing(r *carrier.Request) header.Request {
	return header.Request{Exchange: r.Target.Exchange, Topic: r.Target.Topic, Server: r.Target.Server}
}

// withHeaders returns ctx with the metadata of a typed request, and with headers for everything
// that the path lacks.
func (c *Carrier) withHeaders(ctx context.Context, r *carrier.Request) (context.Context, error) {
	var h header.Request
	explicit := r.InstanceID == "" || c.config.Routing
	if explicit || c.config.Explicit { // a process at a static address learns by name which of its servers is meant
		h = routing(r)
	}
	h.Instance, h.ID, h.Context, h.Missed, h.OrderKey, h.Caller = r.InstanceID, r.ID, r.Context, r.Missed, r.OrderKey, r.Caller
	if r.Target.Version != "" {
		v, err := rpc.ParseVersion(r.Target.Version)
		if err != nil {
			return nil, &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Cause: err, Message: err.Error()}
		}
		// Without a version header, a server assumes the .0 of its own major version. Listed
		// instances are known to have our major version.
		h.Version, h.HasVersion = v, explicit || v != rpc.Version{Major: v.Major}
	}
	if r.Metadata != nil {
		ctx = metadata.NewOutgoingContext(ctx, metadata.MD(r.Metadata))
	}
	return header.Write(ctx, &h), nil
}
