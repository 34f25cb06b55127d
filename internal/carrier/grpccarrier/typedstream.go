package grpccarrier

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// typedStream is a stream of a typed service. It allows one sending and one receiving goroutine at
// a time.
type typedStream struct {
	stream

	typed *carrier.Typed
	// sending is held while a message is being sent. If a message cannot be sent, the stream ends,
	// and the waiting Receive reports the reason.
	sending sync.Mutex
}

// typedStream opens a stream, with its first message if there is one.
func (l Link) typedStream(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) (carrier.Stream, error) {
	if m := r.Typed.Message; m != nil {
		if bad := unencodable(m); bad != nil { // gRPC would begin the stream before it notices
			return nil, bad
		}
	}
	s := &typedStream{typed: r.Typed}
	s.begin(ctx, l)
	if err := s.open(conn, r); err != nil { //nolint:contextcheck // It has the context of the stream.
		s.finish(err)
		tellPeer(r, &s.evidence.opened)
		return nil, err
	}
	s.hold()
	tellPeerOf(r, s.rpc.Context) //nolint:contextcheck // It has the context of the stream.
	return s, nil
}

// open begins the RPC and sends the first message.
func (s *typedStream) open(conn *grpc.ClientConn, r *carrier.Request) error {
	ctx, err := s.link.carrier.withHeaders(s.ctx, r)
	if err != nil {
		return err
	}
	desc := &grpc.StreamDesc{StreamName: r.Method, ClientStreams: r.Typed.ClientStreams, ServerStreams: r.Typed.ServerStreams}
	s.rpc, err = conn.NewStream(s.evidence.witnessed(ctx), desc, r.Typed.Path, s.options()...)
	if err != nil {
		return s.failed(err)
	}
	if r.Typed.Message != nil {
		if err := s.rpc.SendMsg(r.Typed.Message); err != nil && !errors.Is(err, io.EOF) {
			return s.failed(err)
		}
	}
	if r.Typed.ClientStreams {
		return nil
	}
	_ = s.rpc.CloseSend() // gRPC says that it never fails
	if r.Sent != nil {
		r.Sent()
	}
	return s.answered()
}

// neverReplay keeps gRPC from repeating a stream on another connection after a message was sent.
// Otherwise gRPC would send the messages again and let the stream succeed, although its sender was
// told that it had ended. The drawback: a stream fails if its server goes away before it has seen
// the stream.
var neverReplay = grpc.MaxRetryRPCBufferSize(0)

func (s *typedStream) options() []grpc.CallOption {
	options := []grpc.CallOption{grpc.StaticMethod(), grpc.Peer(&s.evidence.opened), s.link.carrier.typedLimit}
	options = append(ownOptions(options, s.typed), neverWait)
	if s.typed.ClientStreams {
		options = append(options, neverReplay)
	}
	return options
}

// answered waits for the server's headers, which may take as long as the method needs, or for a
// refusal.
func (s *typedStream) answered() error {
	if hasHeader(s.rpc) {
		return nil
	}
	err := s.evidence.receive(s.rpc, &emptypb.Empty{}) // there is no message, only the stream's end
	if err == nil || errors.Is(err, io.EOF) {
		return nil // an empty stream, as receiving says again
	}
	s.evidence.end(s.rpc)
	return s.failed(err)
}

// failed converts an error of the RPC.
func (s *typedStream) failed(err error) *rpc.Error {
	return rpcstatus.KeepStatus(s.evidence.error(s.ctx, err), err)
}

// Send implements [carrier.Stream]. A message that cannot be sent ends the stream.
func (s *typedStream) Send(message proto.Message) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	err := s.send(message)
	if err != nil && !errors.Is(err, io.EOF) {
		s.finish(err)
	}
	return err
}

func (s *typedStream) send(message proto.Message) error {
	if bad := s.link.carrier.fits(proto.Size(message)); bad != nil {
		bad.NotStarted = false // the method runs
		return bad
	}
	err := s.rpc.SendMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if bad := unsendable(err, message); bad != nil {
		bad.NotStarted = false
		return bad
	}
	return s.failed(err)
}

// CloseSend implements [carrier.Stream].
func (s *typedStream) CloseSend() error {
	if !s.typed.ClientStreams {
		return nil // Open did it
	}
	return s.rpc.CloseSend()
}

// Receive implements [carrier.Stream].
func (s *typedStream) Receive(item any) error {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if ended := s.end(); ended != nil {
		return ended
	}
	err := s.receive(item)
	switch {
	case err == nil && s.typed.ServerStreams:
		return nil
	case err == nil:
		s.finish(io.EOF) // that was its only item
		return nil
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.finish(err)
	return s.end()
}

func (s *typedStream) receive(item any) error {
	var expected expected
	if !s.typed.ServerStreams {
		expected = expect(item)
	}
	err := s.evidence.receive(s.rpc, item)
	if expected.came() || err == nil {
		s.evidence.replied.Store(true)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s.evidence.end(s.rpc)
	return s.failed(err)
}

// Header implements [carrier.Stream].
func (s *typedStream) Header() (rpc.Metadata, error) {
	md, err := s.rpc.Header()
	if err != nil {
		return nil, s.failed(err)
	}
	return rpc.Metadata(md), nil
}
