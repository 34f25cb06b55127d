package grpccarrier

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// withMetadata returns ctx with the metadata of a request. Headers of ours in it are left out: they
// describe the message that the program serves and passes its metadata on from.
func withMetadata(ctx context.Context, md rpc.Metadata) context.Context {
	if md == nil {
		return ctx
	}
	return header.Write(metadata.NewOutgoingContext(ctx, metadata.MD(md)), &header.Request{})
}

// headed returns ctx with the metadata of a request and, for proxies that route, with headers that
// say what the request says.
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

// routed returns a request that names the server that was chosen, as its headers do.
func (c *Carrier) routed(r *carrier.Request) *carrier.Request {
	if !c.config.Routing || r.Target.Server == r.Meant.Name || r.Meant.Name == "" {
		return r
	}
	named := *r
	named.Target.Server = r.Meant.Name
	return &named
}

// routing returns the headers that say who is meant.
func routing(r *carrier.Request) header.Request {
	return header.Request{Exchange: r.Target.Exchange, Topic: r.Target.Topic, Server: r.Target.Server}
}

// withHeaders returns ctx with the metadata of a typed request, and with the headers for what its
// path does not say.
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
		// Without a version, a server takes the .0 of its own major version to be meant. An
		// instance that is listed is known to have our major version.
		h.Version, h.HasVersion = v, explicit || v != rpc.Version{Major: v.Major}
	}
	if r.Metadata != nil {
		ctx = metadata.NewOutgoingContext(ctx, metadata.MD(r.Metadata))
	}
	return header.Write(ctx, &h), nil
}
