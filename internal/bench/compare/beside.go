package compare

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Beside has small operations and large operations, which run at the same time. Both send bytes and
// get them back.
type Beside struct {
	Small, Large func(context.Context) error

	closes []func() error
}

// Close closes all connections and servers.
func (b *Beside) Close() error {
	var err error
	for _, c := range b.closes {
		err = errors.Join(err, c())
	}
	return err
}

// echoDesc is a service that echoes its messages.
var echoDesc = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(
		_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		message := &wrapperspb.BytesValue{}
		return message, decode(message)
	}}},
}

// NewRawBeside uses unary RPCs of grpc-go. If apart is true, the large ones use a separate
// connection.
func NewRawBeside(ctx context.Context, small, large int, apart bool) (*Beside, error) {
	b := &Beside{}
	open := func() (*Plain, error) {
		p, err := newPlain(ctx, func(r grpc.ServiceRegistrar) { r.RegisterService(&echoDesc, nil) },
			[]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))},
			[]grpc.ServerOption{grpc.MaxRecvMsgSize(math.MaxInt32)})
		if err == nil {
			b.closes = append(b.closes, p.Close)
		}
		return p, err
	}
	first, err := open()
	if err != nil {
		return b, err
	}
	other := first
	if apart {
		if other, err = open(); err != nil {
			return b, err
		}
	}
	echo := func(p *Plain, n int) func(context.Context) error {
		message := Opaque(n)
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, Deadline)
			defer cancel()
			return p.Invoke(ctx, "/bench.Echo/Echo", message, &wrapperspb.BytesValue{})
		}
	}
	b.Small, b.Large = echo(first, small), echo(other, large)
	return b, nil
}

// NewTCPBeside uses plain TCP, with a connection for each caller.
func NewTCPBeside(ctx context.Context, small, large, callers int) (*Beside, error) {
	b := &Beside{}
	var running sync.WaitGroup
	echo := func(n, connections int) (func(context.Context) error, error) {
		free := make(chan func() error, connections)
		for range connections {
			client, server, err := pair(ctx)
			if err != nil {
				return nil, err
			}
			b.closes = append(b.closes, client.Close, server.Close)
			running.Go(func() { answerWith(server, make([]byte, n), make([]byte, n)) })
			message := make([]byte, n)
			free <- func() error {
				if _, err := client.Write(message); err != nil {
					return err
				}
				_, err := io.ReadFull(client, message)
				return err
			}
		}
		return func(context.Context) error {
			ask := <-free
			defer func() { free <- ask }()
			return ask()
		}, nil
	}
	var err, err2 error
	b.Small, err = echo(small, 1)
	b.Large, err2 = echo(large, callers)
	b.closes = append(b.closes, func() error {
		running.Wait()
		return nil
	})
	return b, errors.Join(err, err2)
}

// pair returns both ends of a new loopback connection.
func pair(ctx context.Context) (client, server net.Conn, err error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	var dialing net.Dialer
	if client, err = dialing.DialContext(ctx, "tcp", listener.Addr().String()); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	server, err = listener.Accept()
	return client, server, errors.Join(err, listener.Close())
}

// answerWith answers each message on a connection with the same reply.
func answerWith(conn net.Conn, message, reply []byte) {
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}
