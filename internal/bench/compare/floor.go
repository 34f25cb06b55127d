package compare

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Floor sends a message to many servers, each with a separate connection, and waits for a short
// answer from each. It does nothing else, so its time is the minimum for a fanout.
type Floor struct {
	sends   []func() error
	answers chan struct{}
	closes  []func() error
}

// window is the flow-control window of a gRPC connection, in bytes. The window is fixed so that
// gRPC sends no pings to measure it.
const window = 1 << 20

// answerSize is the size of an answer, in bytes.
const answerSize = 24

// Send sends to all servers and waits for their answers. It does not handle broken connections,
// since connections within this process do not break.
func (f *Floor) Send(context.Context) error {
	for _, send := range f.sends {
		if err := send(); err != nil {
			return err
		}
	}
	for range f.sends {
		<-f.answers
	}
	return nil
}

// Close closes all connections and servers.
func (f *Floor) Close() error {
	var err error
	for _, c := range f.closes {
		err = errors.Join(err, c())
	}
	return err
}

// NewTCPFloor uses TCP connections. Each message takes a system call at each end, and a goroutine
// reads each connection.
func NewTCPFloor(ctx context.Context, servers, size int) (*Floor, error) {
	f := &Floor{answers: make(chan struct{}, servers)}
	var running sync.WaitGroup
	for range servers {
		client, server, err := pair(ctx)
		if err != nil {
			return f, err
		}
		running.Go(func() { answerWith(server, make([]byte, size), make([]byte, answerSize)) })
		running.Go(func() { f.await(client) })
		message := make([]byte, size)
		f.sends = append(f.sends, func() error {
			_, err := client.Write(message)
			return err
		})
		f.closes = append(f.closes, func() error { return errors.Join(client.Close(), server.Close()) })
	}
	f.closes = append(f.closes, func() error {
		running.Wait()
		return nil
	})
	return f, nil
}

// await reads answers.
func (f *Floor) await(conn net.Conn) {
	reply := make([]byte, answerSize)
	for {
		if _, err := io.ReadFull(conn, reply); err != nil {
			return
		}
		f.answers <- struct{}{}
	}
}

// floorDesc is a service that answers each message of a stream.
var floorDesc = grpc.ServiceDesc{
	ServiceName: "bench.Floor",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{StreamName: "Echo", ClientStreams: true, ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
		reply := Opaque(answerSize)
		for {
			if err := stream.RecvMsg(&wrapperspb.BytesValue{}); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(reply); err != nil {
				return err
			}
		}
	}}},
}

// NewStreamFloor uses gRPC connections with one stream each.
func NewStreamFloor(ctx context.Context, servers, size int) (*Floor, error) {
	f := &Floor{answers: make(chan struct{}, servers)}
	for range servers {
		plain, err := newPlain(ctx, func(r grpc.ServiceRegistrar) { r.RegisterService(&floorDesc, nil) },
			[]grpc.DialOption{grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window)},
			[]grpc.ServerOption{grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window)})
		if err != nil {
			return f, err
		}
		f.closes = append(f.closes, plain.Close)
		streaming, end := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
		stream, err := plain.NewStream(streaming, &floorDesc.Streams[0], "/bench.Floor/Echo")
		if err != nil {
			end()
			return f, err
		}
		var receiving sync.WaitGroup
		receiving.Go(func() {
			for stream.RecvMsg(&wrapperspb.BytesValue{}) == nil {
				f.answers <- struct{}{}
			}
		})
		message := Opaque(size)
		f.sends = append(f.sends, func() error { return stream.SendMsg(message) })
		f.closes[len(f.closes)-1] = func() error {
			end()
			receiving.Wait()
			return plain.Close()
		}
	}
	return f, nil
}
