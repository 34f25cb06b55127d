package service

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/intake"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// incoming is a message that an RPC carries. It is also the origin of the message.
type incoming struct {
	intake.Message

	origin
	encoded *pb.Message // has the content until that is read
}

// origin is the RPC that carries a message.
type origin struct {
	ctx context.Context //nolint:containedctx // It has what is known of the RPC.
	// entries are metadata within the message. They have precedence over headers.
	entries map[string]string
	// sender is the process at the other end.
	sender inbound.Sender
}

func originOf(ctx context.Context, entries map[string]string) origin {
	return origin{ctx: ctx, entries: entries, sender: inbound.SenderOf(ctx)}
}

// callerOf returns the name that the program at the other end gives itself.
func callerOf(ctx context.Context) string { return callerIn(header.Of(ctx).UserAgent()) }

// callerIn returns a user agent without what gRPC appends to a program's own: "agent
// grpc-go/1.76.0" and "agent grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)" are of the program
// agent. An agent that is gRPC's alone keeps its first word.
func callerIn(agent string) string {
	if name, _, _ := strings.Cut(agent, " grpc-"); name != "" {
		return name
	}
	return dispatch.UnknownCaller
}

// Metadata returns the headers of the RPC that are the program's, and the entries of the message.
func (o origin) Metadata() rpc.Metadata {
	md, _ := metadata.FromIncomingContext(o.ctx) // a copy
	for name := range md {
		if o.isOurs(name) {
			delete(md, name)
		}
	}
	if len(o.entries) > 0 && md == nil {
		md = metadata.MD{}
	}
	for name, value := range o.entries {
		if name = strings.ToLower(name); !o.isOurs(name) {
			md[name] = []string{valueOf(name, value)}
		}
	}
	return rpc.Metadata(md)
}

// isOurs reports whether a header is for this library, for gRPC or for HTTP.
func (o origin) isOurs(name string) bool {
	switch name {
	case "content-type", "user-agent", "te":
		return true
	case header.Authorization: // an entry of that name proves nothing where tokens do
		return o.sender.Conn().TakesTokens()
	default:
		return strings.HasPrefix(name, "oslorpc-") || strings.HasPrefix(name, "grpc-") || strings.HasPrefix(name, ":")
	}
}

// valueOf returns the value of an entry, which is in base64 if it is binary.
func valueOf(name, value string) string {
	if !strings.HasSuffix(name, "-bin") {
		return value
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return value
	}
	return string(decoded)
}

// Peer returns the process at the other end of the connection, with what the connection and the RPC
// prove of it.
func (o origin) Peer() (p rpc.Peer) {
	if p, ok := o.sender.Peer(); ok {
		return p
	}
	from, ok := peer.FromContext(o.ctx)
	if !ok {
		return p
	}
	if from.Addr != nil {
		p.Addr = from.Addr.String()
	}
	if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
		p.TLS, p.Identity = &info.State, identity.Certified(&info.State)
	}
	return p
}

// Reserve waits until the peer may have about n bytes more of an answer; see [dispatch.Accountant].
func (o origin) Reserve(n int, alone bool) error { return inbound.Reserve(o.ctx, n, alone) }

// Answer is Reserve for an answer that has n bytes.
func (o origin) Answer(n int, alone bool) error { return inbound.Answer(o.ctx, n, alone) }

// Admit returns an error if a JSON text must not be decoded.
func (o origin) Admit(ctx context.Context, text string, cast bool) (ended func(), err error) {
	return o.sender.Conn().AdmitJSON(ctx, o.ctx, text, cast)
}

// partOf adds the name of a part of a request to the error of that part. The request has not run.
func partOf(part string, err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	copied := *e
	copied.Message = part + ": " + copied.Message
	copied.NotStarted = true
	return &copied
}
