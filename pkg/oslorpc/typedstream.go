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
// The stream opens at its first message, which gives its version, and with it the servers that can
// serve it. If the version of the client's target is a later one of the same major version, the
// stream opens at that. Messages after the first are checked against the stream's version: what may
// be dropped is dropped, and anything else that needs a later version ends the stream with the kind
// [UnsupportedVersion]. Until the first message of a stream that the client sends, receiving waits.
//
// The only message of a stream that the server sends goes elsewhere when a server refuses it, as a
// call does. A stream that the client sends is not begun again: a refusal comes as an error for
// which [SafeToRetry] is true.
//
// [WithTimeout], or [DefaultCallTimeout], bounds finding a server and opening the stream. The
// deadline of ctx bounds the whole.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, path string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	call := &client.TypedCall{Path: path, ClientStreams: desc.ClientStreams, ServerStreams: desc.ServerStreams}
	translate(call, options)
	stream, err := c.engine.Stream(ctx, call)
	if err != nil {
		return nil, withStatus(err)
	}
	return typedStream{stream}, nil
}

// typedStream is a stream of the engine as gRPC has it.
type typedStream struct{ engine *client.Stream }

// Context returns the stream's context.
func (s typedStream) Context() context.Context { return s.engine.Context() }

// SendMsg sends a message; the first one opens the stream.
func (s typedStream) SendMsg(message any) error { return withStatus(s.engine.Send(message)) }

// RecvMsg receives a message, when the stream is open.
func (s typedStream) RecvMsg(message any) error { return withStatus(s.engine.Receive(message)) }

// CloseSend says that no message follows; a stream without any is opened by it.
func (s typedStream) CloseSend() error { return withStatus(s.engine.CloseSend()) }

// Header returns the server's headers, when the stream is open and they have come.
func (s typedStream) Header() (metadata.MD, error) {
	md, err := s.engine.Header()
	return metadata.MD(md), withStatus(err)
}

// Trailer returns the server's trailers, when the stream has ended.
func (s typedStream) Trailer() metadata.MD { return metadata.MD(s.engine.Trailer()) }
