package oslorpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/interceptor"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// stuck is a connection whose writes can be blocked until it is closed.
type stuck struct {
	net.Conn

	held    *atomic.Bool
	waiting chan<- struct{} // told of each write that is held up
	closed  chan struct{}
	once    sync.Once
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.held.Load() {
		s.waiting <- struct{}{}
		<-s.closed
		return 0, net.ErrClosed
	}
	return s.Conn.Write(b)
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// breaker dials connections. It breaks the first connection before any data that was written since
// Hold has left.
type breaker struct {
	held    atomic.Bool
	waiting chan struct{}
	mu      sync.Mutex
	first   *stuck
}

func (b *breaker) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first != nil {
		return conn, nil
	}
	b.first = &stuck{Conn: conn, held: &b.held, waiting: b.waiting, closed: make(chan struct{})}
	return b.first, nil
}

func (b *breaker) breakFirst() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.first.Close()
}

// counter counts the messages of its streams.
type counter struct {
	inventory

	got atomic.Int64
}

func (c *counter) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: c.got.Load()})
		} else if err != nil {
			return err
		}
		c.got.Add(1)
	}
}

func (c *counter) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return nil //nolint:nilerr // The client has no more.
		}
		c.got.Add(1)
		if err := stream.Send(&v1.SyncVolumesResponse{}); err != nil {
			return err
		}
	}
}

// A client stream breaks before any of its data has left. gRPC would transparently retry it on
// another connection with the messages sent so far, and could let it succeed although its sender
// was told that it had ended. The stream must fail or be complete.
func TestStreamThatBreaksEarly(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *breaker, string) grpc.ClientConnInterface{
		"a client of oslorpc": func(t *testing.T, b *breaker, addr string) grpc.ClientConnInterface {
			transport, err := oslorpc.Open("static://inventory="+addr, oslorpc.WithDialOptions(grpc.WithContextDialer(b.dial)))
			must(t, err)
			t.Cleanup(func() { transport.Close() })
			return transport.Client(oslorpc.Target{})
		},
		"an interceptor": func(t *testing.T, b *breaker, addr string) grpc.ClientConnInterface {
			return dial(t, addr, grpc.WithContextDialer(b.dial), grpc.WithStreamInterceptor(interceptor.StreamClient()))
		},
	} {
		for n := range 6 {
			sent, bidi := n/2, n%2 == 1 // before it breaks
			t.Run(name, func(t *testing.T) {
				count := &counter{}
				server := open(t).Server(oslorpc.Target{Topic: "inventory", Server: "a"},
					oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, count) }))
				must(t, server.Start(t.Context()))
				i, _ := server.Instance()
				b := &breaker{waiting: make(chan struct{}, 100)}
				v := v1.NewInventoryServiceClient(connect(t, b, i.Addr))
				_, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
				must(t, err) // connected
				b.held.Store(true)
				var other sync.WaitGroup
				other.Go(func() { _, _ = v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}) })
				<-b.waiting // nothing else is written any more
				if bidi {
					syncVolumes(t, v, b, sent)
				} else {
					importVolumes(t, v, b, sent, count)
				}
				other.Wait()
			})
		}
	}
}

// importVolumes sends messages, some of them before the connection breaks. If the stream succeeds,
// all messages must have arrived.
func importVolumes(t *testing.T, v v1.InventoryServiceClient, b *breaker, before int, count *counter) {
	t.Helper()
	const all = 20
	stream, err := v.ImportVolumes(t.Context())
	must(t, err)
	for range before {
		must(t, stream.Send(&v1.ImportVolumesRequest{}))
	}
	b.breakFirst()
	accepted := before
	for ; accepted < all && err == nil; accepted++ {
		err = stream.Send(&v1.ImportVolumesRequest{})
	}
	if reply, err := stream.CloseAndRecv(); err == nil && reply.GetImported() != all {
		t.Errorf("the stream succeeded, and %d of %d messages came; sending ended after %d", count.got.Load(), all, accepted)
	} else if err != nil && oslorpc.SafeToRetry(err) {
		t.Errorf("it may be sent again: %v", err)
	}
}

// syncVolumes is like importVolumes, for a stream whose messages are answered. The stream must end.
func syncVolumes(t *testing.T, v v1.InventoryServiceClient, b *breaker, before int) {
	t.Helper()
	const all = 20
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := v.SyncVolumes(ctx)
	must(t, err)
	for range before {
		must(t, stream.Send(&v1.SyncVolumesRequest{}))
	}
	b.breakFirst()
	for n := before; n < all && err == nil; n++ {
		err = stream.Send(&v1.SyncVolumesRequest{})
	}
	_ = stream.CloseSend()
	answered := 0
	for err = nil; err == nil; answered++ {
		_, err = stream.Recv()
	}
	if answered--; errors.Is(err, io.EOF) && answered != all {
		t.Errorf("the stream succeeded, and %d of %d messages were answered", answered, all)
	}
	if ctx.Err() != nil {
		t.Errorf("it hung: %v", err)
	}
}
