package oslorpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/client"
)

// NewStream begins a stream of a typed service. Generated stubs call it. See [Client.Invoke] for
// the receiver, versions and errors.
//
// The stream opens at its first message. That message sets the version of the stream, and so which
// servers can serve it. If the version of the client's target is later and of the same major
// version, the stream opens at that version. Later messages are checked against the stream's
// version: fields that may be dropped are dropped, and anything else that needs a later version
// ends the stream with the kind [UnsupportedVersion]. In a client stream, receiving waits until the
// first message is sent.
//
// In a server stream, the only message goes to another server when a server refuses it, as a call
// does. A client stream is never restarted: a refusal is an error for which [SafeToRetry] is true.
//
// [WithTimeout], or [DefaultCallTimeout], bounds finding a server and opening the stream. The
// deadline of ctx bounds the whole stream.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, path string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	call := &client.TypedCall{Path: path, ClientStreams: desc.ClientStreams, ServerStreams: desc.ServerStreams}
	translate(call, options)
	stream, err := c.engine.Stream(ctx, call)
	if err != nil {
		return nil, withStatus(err)
	}
	return typedStream{stream}, nil
}

// typedStream adapts a stream of the engine to gRPC's interface.
type typedStream struct{ engine *client.Stream }

// Context returns the stream's context.
func (s typedStream) Context() context.Context { return s.engine.Context() }

// SendMsg sends a message. The first message opens the stream.
func (s typedStream) SendMsg(message any) error { return withStatus(s.engine.Send(message)) }

// RecvMsg waits until the stream is open, and receives a message.
func (s typedStream) RecvMsg(message any) error { return withStatus(s.engine.Receive(message)) }

// CloseSend tells the server that no message follows. It also opens the stream if no message was
// sent.
func (s typedStream) CloseSend() error { return withStatus(s.engine.CloseSend()) }

// Header waits until the stream is open, and returns the server's headers once they arrive.
func (s typedStream) Header() (metadata.MD, error) {
	md, err := s.engine.Header()
	return metadata.MD(md), withStatus(err)
}

// Trailer returns the server's trailers, once the stream has ended.
func (s typedStream) Trailer() metadata.MD { return metadata.MD(s.engine.Trailer()) }
