package oslorpc_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// dial connects like a program without oslorpc.
func dial(t *testing.T, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// nameless is a connection without addresses.
type nameless struct{ net.Conn }

func (nameless) RemoteAddr() net.Addr { return nil }

func (nameless) LocalAddr() net.Addr { return nil }

// A user's dial options must not make a message that ran look as if it had not run. Otherwise it
// would be sent again.
func TestDialOptionsDoNotHideThatAMessageWasSent(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "made up")
	for name, option := range map[string]grpc.DialOption{
		"an interceptor that returns early": grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			ended := make(chan error, 1)
			go func() { ended <- invoke(ctx, method, request, response, conn, options...) }()
			select {
			case <-ended:
			case <-time.After(20 * time.Millisecond):
			}
			return unavailable
		}),
		"an interceptor that drops the options": grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, _ ...grpc.CallOption,
		) error {
			return errors.Join(unavailable, invoke(ctx, method, request, response, conn))
		}),
		"a connection without addresses": grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			return nameless{conn}, err
		}),
	} {
		t.Run(name, func(t *testing.T) {
			one, two := newAgent("one"), newAgent("two")
			topic := oslorpc.Target{Topic: name}
			for server, a := range map[string]agent{"one": one, "two": two} {
				serveOn(t, open(t), oslorpc.Target{Topic: name, Server: server}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
					"run": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
						a.casts.Add(1)
						<-ctx.Done()
						return nil, ctx.Err()
					}),
				}})
			}
			c := open(t, oslorpc.WithDialOptions(option)).Client(topic, oslorpc.WithTimeout(2*time.Second))
			_, err := oslorpc.Call[any](t.Context(), c, "run", nil)
			if err == nil || oslorpc.SafeToRetry(err) {
				t.Errorf("it ran, and the error is %v", err)
			}
			if n := one.casts.Load() + two.casts.Load(); n != 1 {
				t.Errorf("it ran %d times", n)
			}
		})
	}
	t.Run("a dial that fails", func(t *testing.T) {
		serve(t, "node1", newAgent("node1").endpoint("1.0"))
		broken := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("no way") })
		c := open(t, oslorpc.WithDialOptions(broken)).Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithRetry(0))
		_, err := oslorpc.Call[any](t.Context(), c, "whoami", nil)
		wantKind(t, err, oslorpc.Unreachable, true)
		wantText(t, err, "no way")
	})
}

// Names distinguish two servers of one process at a static address: each gets a fanout once.
func TestFanoutToStaticAddresses(t *testing.T) {
	one, two := newAgent("one"), newAgent("two")
	transport := open(t)
	s := serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "one"}, one.endpoint("1.0"))
	serveOn(t, transport, oslorpc.Target{Topic: "agents", Server: "two"}, two.endpoint("1.0"))
	i, _ := s.Instance()
	static, err := oslorpc.Open("static://agents/one=" + i.Addr + ",agents/two=" + i.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer static.Close()
	c := static.Client(oslorpc.Target{Topic: "agents"})
	const rounds = 20
	for range rounds {
		if report, err := c.Fanout(t.Context(), "note", nil); err != nil || len(report.Accepted) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	until(t, "all ran", func() bool { return one.casts.Load()+two.casts.Load() == 2*rounds })
	if one.casts.Load() != rounds {
		t.Errorf("%d and %d ran, not %d each", one.casts.Load(), two.casts.Load(), rounds)
	}
}

// An interceptor sends each message twice, the second time with a version that the server refuses.
// The client must not conclude that the server only refused the message.
func TestInterceptorThatSendsTwice(t *testing.T) {
	f, all := inventories(t, "1.2")
	refused := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "oslorpc-version", "1.9")
	}
	stub := v1.NewInventoryServiceClient(f.Transport(oslorpc.WithDialOptions(
		grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			if err := invoke(ctx, method, request, response, conn, options...); err != nil {
				return err
			}
			return invoke(refused(ctx), method, request, response, conn, options...)
		}),
		grpc.WithStreamInterceptor(func(
			ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			first, err := open(ctx, desc, conn, method, options...)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(first.SendMsg(&v1.WatchVolumesRequest{}), first.CloseSend()); err != nil {
				return nil, err
			}
			until(t, "both ran", func() bool { return all["1.2"].count() == 2 }) // the end of the second cancels it
			return open(refused(ctx), desc, conn, method, options...)
		}),
	)).Client(oslorpc.Target{}))
	_, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.OutcomeUnknown, false)
	wantText(t, err, "more than once", "version 1.9")
	stream, err := stub.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantKind(t, err, oslorpc.OutcomeUnknown, false)
}

// An interceptor sends a refused message again. As long as the server refuses every attempt, the
// message did not start.
func TestInterceptorThatRetriesRefusals(t *testing.T) {
	f, _ := inventories(t, "1.2")
	tries := 0
	stub := v1.NewInventoryServiceClient(f.Transport(oslorpc.WithDialOptions(grpc.WithUnaryInterceptor(func(
		ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) (err error) {
		for range 3 {
			tries++
			err = invoke(metadata.AppendToOutgoingContext(ctx, "oslorpc-version", "1.9"), method, request, response, conn, options...)
		}
		return err
	}))).Client(oslorpc.Target{}))
	_, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	if tries != 3 {
		t.Errorf("it was sent %d times", tries)
	}
}
