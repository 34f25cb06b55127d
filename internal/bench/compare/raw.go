package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Deadline limits each operation, on both sides.
const Deadline = 60 * time.Second

// rawService is the counterpart of oslorpc: a service that is written by hand with grpc-go. Its
// messages are Opaque bytes.
type rawService struct {
	reply *wrapperspb.BytesValue
	items int // of a stream
}

const (
	rawUnary  = "/bench.Raw/Unary"
	rawStream = "/bench.Raw/Stream"
)

var rawDesc = grpc.ServiceDesc{
	ServiceName: "bench.Raw",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(
		s any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		return s.(*rawService).reply, decode(&wrapperspb.BytesValue{})
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: func(s any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(&wrapperspb.BytesValue{}); err != nil {
			return err
		}
		for range s.(*rawService).items {
			if err := stream.SendMsg(s.(*rawService).reply); err != nil {
				return err
			}
		}
		return nil
	}}},
}

// Plain is a server of plain grpc-go over loopback TCP, with a connection to the server.
type Plain struct {
	*grpc.ClientConn

	server  *grpc.Server
	serving sync.WaitGroup
}

// NewPlain starts a server with the services that register adds, and connects to the server.
func NewPlain(ctx context.Context, register func(grpc.ServiceRegistrar)) (*Plain, error) {
	return newPlain(ctx, register, nil, nil)
}

func newPlain(ctx context.Context, register func(grpc.ServiceRegistrar), dial []grpc.DialOption, serve []grpc.ServerOption) (*Plain, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(listener.Addr().String(), append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p := &Plain{ClientConn: conn, server: grpc.NewServer(serve...)}
	register(p.server)
	p.serving.Go(func() { _ = p.server.Serve(listener) }) // the client sees failures
	return p, nil
}

// Close closes the connection and the server.
func (p *Plain) Close() error {
	err := p.ClientConn.Close()
	p.server.GracefulStop()
	p.serving.Wait()
	return err
}

// Raw is a client of a service that is written by hand, with its server.
type Raw struct {
	*Plain

	request *wrapperspb.BytesValue
	items   int
}

// NewRaw starts a server and connects to it. Its messages have the given Sizes.
func NewRaw(ctx context.Context, size Sizes, items int) (*Raw, error) {
	plain, err := NewPlain(ctx, func(r grpc.ServiceRegistrar) {
		r.RegisterService(&rawDesc, &rawService{reply: Opaque(size.Reply), items: items})
	})
	if err != nil {
		return nil, err
	}
	return &Raw{Plain: plain, request: Opaque(size.Request), items: items}, nil
}

// Call makes a unary RPC.
func (r *Raw) Call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	return r.Invoke(ctx, rawUnary, r.request, &wrapperspb.BytesValue{})
}

// Stream makes a server-streaming RPC and reads the stream.
func (r *Raw) Stream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	stream, err := r.NewStream(ctx, &rawDesc.Streams[0], rawStream)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(r.request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		err := stream.RecvMsg(&wrapperspb.BytesValue{})
		switch {
		case errors.Is(err, io.EOF) && n == r.items:
			return nil
		case err != nil:
			return fmt.Errorf("item %d of %d: %w", n, r.items, err)
		}
	}
}

// Opaque returns a message whose encoding has n bytes, or the nearest smaller size that is
// possible.
func Opaque(n int) *wrapperspb.BytesValue {
	m := wrapperspb.Bytes(make([]byte, n))
	for proto.Size(m) > n {
		m.Value = m.GetValue()[1:]
	}
	return m
}

// Sizes are the sizes of the encoded messages of an RPC.
type Sizes struct{ Request, Reply int }

// Observer records the Sizes of the messages that a client last sent and received.
type Observer struct{ request, reply atomic.Int64 }

// Sizes returns the recorded sizes.
func (o *Observer) Sizes() Sizes { return Sizes{int(o.request.Load()), int(o.reply.Load())} }

// TagRPC implements [stats.Handler], like the other methods.
func (o *Observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn does nothing.
func (o *Observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (o *Observer) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC records the sizes of messages.
func (o *Observer) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s := s.(type) {
	case *stats.OutPayload:
		o.request.Store(int64(s.Length))
	case *stats.InPayload:
		o.reply.Store(int64(s.Length))
	}
}
