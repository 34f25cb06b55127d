package middleware

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// withGRPC adds the values to a context that gRPC interceptors read from the context of an RPC:
// metadata, peer and method. It adds them once per message, so that a later adapted interceptor
// sees the changes of an earlier one.
func withGRPC(ctx context.Context, m *rpc.Message) context.Context {
	transport := grpc.ServerTransportStreamFromContext(ctx)
	if _, ours := transport.(*stream); ours {
		return ctx
	}
	if m.Service == "" || m.Delivery == rpc.DeliveryCast { // no caller sees them, or the message outlives its RPC
		transport = nil
	}
	ctx = grpc.NewContextWithServerTransportStream(ctx, &stream{method: fullMethod(m), carrier: transport})
	ctx = metadata.NewIncomingContext(ctx, incoming(m))
	if _, ok := peer.FromContext(ctx); !ok {
		ctx = peer.NewContext(ctx, peerOf(m.Peer))
	}
	return ctx
}

// incoming returns the metadata of a message in gRPC's form, in which the name of the sender's
// program is the user agent.
func incoming(m *rpc.Message) metadata.MD {
	md := metadata.MD(m.Metadata)
	if m.Caller != "" {
		md = md.Copy()
		md.Set("user-agent", m.Caller)
	}
	return md
}

// stream implements grpc.Method, grpc.SetHeader and grpc.SetTrailer for a message.
type stream struct {
	method string
	// carrier is the RPC that carries the message. It is nil if headers cannot be sent for this
	// message.
	carrier grpc.ServerTransportStream
}

// Method returns the full method.
func (s *stream) Method() string { return s.method }

// SetHeader implements [grpc.ServerTransportStream].
func (s *stream) SetHeader(md metadata.MD) error {
	if s.carrier == nil {
		return nil
	}
	return s.carrier.SetHeader(md)
}

// SendHeader implements [grpc.ServerTransportStream].
func (s *stream) SendHeader(md metadata.MD) error {
	if s.carrier == nil {
		return nil
	}
	return s.carrier.SendHeader(md)
}

// SetTrailer implements [grpc.ServerTransportStream].
func (s *stream) SetTrailer(md metadata.MD) error {
	if s.carrier == nil {
		return nil
	}
	return s.carrier.SetTrailer(md)
}

// peerOf converts a peer to the type of package grpc/peer.
func peerOf(p rpc.Peer) *peer.Peer {
	found := &peer.Peer{Addr: addressOf(p.Addr)}
	if p.TLS != nil {
		found.AuthInfo = credentials.TLSInfo{
			State:          *p.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
			SPIFFEID:       spiffeID(p.TLS),
		}
	}
	return found
}

// spiffeID returns the SPIFFE ID of a certificate, or nil if it has none. A certificate with a
// SPIFFE ID has no other URI.
func spiffeID(state *tls.ConnectionState) *url.URL {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	uris := state.PeerCertificates[0].URIs
	if len(uris) != 1 || uris[0].Scheme != "spiffe" {
		return nil
	}
	return uris[0]
}

// addressOf converts an address to the type of package net.
func addressOf(text string) net.Addr {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(at)
	}
	return &net.UnixAddr{Name: text, Net: "unix"}
}

// outliving is a context with the values of another context, which may end earlier.
type outliving struct {
	context.Context //nolint:containedctx // It is one.

	values context.Context //nolint:containedctx // It has the values.
}

// Value returns a value of the other context.
func (o outliving) Value(key any) any { return o.values.Value(key) }

// valuesOf returns a context with the values of accepted, which derives from ctx, and with the end
// of ctx. An interceptor that gave its handler a deadline would end accepted when it returns.
func valuesOf(ctx, accepted context.Context) context.Context {
	if accepted.Done() == ctx.Done() {
		return accepted
	}
	return outliving{Context: ctx, values: accepted}
}
