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

// withHeaders returns ctx with the metadata of a typed request, and with the headers for what its
// path does not say.
func withHeaders(ctx context.Context, r *carrier.Request) (context.Context, error) {
	h := header.Request{Instance: r.InstanceID, ID: r.ID, Context: r.Context, Missed: r.Missed, OrderKey: r.OrderKey, Caller: r.Caller}
	if r.InstanceID == "" { // a process at a static address learns by name which of its servers is meant
		h.Exchange, h.Topic, h.Server = r.Target.Exchange, r.Target.Topic, r.Target.Server
	}
	if r.Target.Version != "" {
		v, err := rpc.ParseVersion(r.Target.Version)
		if err != nil {
			return nil, &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Cause: err, Message: err.Error()}
		}
		// Without a version, a server takes the .0 of its own major version to be meant. An
		// instance that is listed is known to have our major version.
		h.Version, h.HasVersion = v, r.InstanceID == "" || v != rpc.Version{Major: v.Major}
	}
	if r.Metadata != nil {
		ctx = metadata.NewOutgoingContext(ctx, metadata.MD(r.Metadata))
	}
	return header.Write(ctx, &h), nil
}
