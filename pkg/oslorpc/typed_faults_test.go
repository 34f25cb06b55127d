package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// creator is a typed service with one method, which is a function.
type creator struct {
	v1.UnimplementedInventoryServiceServer

	create func(context.Context) error
}

func (c creator) CreateVolume(ctx context.Context, _ *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	return &v1.CreateVolumeResponse{}, c.create(ctx)
}

// offers makes a server offer the inventory.
func offers(i v1.InventoryServiceServer) oslorpc.ServerOption {
	return oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, i) })
}

// creating is a fleet of one server, whose method is create.
func creating(t *testing.T, create func(context.Context) error, options ...oslorpc.TransportOption) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t, options...)
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(creator{create: create}))
	return f
}

// textless is an error whose Error method panics for a nil pointer.
type textless struct{ text string }

func (e *textless) Error() string { return e.text }

// TestTypedNilPointerError returns a nil pointer as an error of a method. The process must not
// crash.
func TestTypedNilPointerError(t *testing.T) {
	var none *textless
	f := creating(t, func(context.Context) error { return none })
	_, err := volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.Remote, false)
	wantText(t, err, "panic", "nil pointer")
}

// TestTypedNestedStatus makes a method fail with the status of a nested RPC that did not start. The
// method itself did start.
func TestTypedNestedStatus(t *testing.T) {
	nested, err := status.New(codes.Unavailable, "go away").WithDetails(&pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_STOPPING, NotStarted: true})
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	f := creating(t, func(context.Context) error {
		ran++
		return nested.Err()
	})
	_, err = volumes(f, oslorpc.WithRetry(0)).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.Remote, false)
	if status.Code(err) != codes.Unavailable || ran != 1 {
		t.Errorf("the status is %v, and it ran %d times", status.Code(err), ran)
	}
}

// TestTypedFanoutOptions passes call options for a single answer to a fanout, which has several
// answers.
func TestTypedFanoutOptions(t *testing.T) {
	f, all := inventories(t, "1.1", "1.2")
	var md metadata.MD
	for _, option := range []grpc.CallOption{grpc.Header(&md), grpc.Trailer(&md), grpc.Peer(&peer.Peer{})} {
		_, err := volumes(f).InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{}, option)
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, "FanoutReport")
	}
	if all["1.1"].count()+all["1.2"].count() > 0 {
		t.Error("it was sent")
	}
	// A program that does not use the stub may pass nil for the reply.
	if err := f.Client(oslorpc.Target{}).Invoke(t.Context(), v1.InventoryService_InvalidateCache_FullMethodName, &v1.InvalidateCacheRequest{}, nil); err != nil {
		t.Error(err)
	}
}

// quotaError is an error that a program registers.
type quotaError struct {
	Limit int `json:"limit"`
}

func (e *quotaError) Error() string { return fmt.Sprintf("the quota is %d", e.Limit) }

// TestTypedRegisteredError makes a method fail with an error that both ends know.
func TestTypedRegisteredError(t *testing.T) {
	f := creating(t, func(context.Context) error { return fmt.Errorf("no: %w", &quotaError{Limit: 7}) },
		oslorpc.WithErrorType[*quotaError]("inventory.Quota"))
	_, err := volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.Remote, false)
	if e, ok := errors.AsType[*quotaError](err); !ok || e.Limit != 7 {
		t.Errorf("got %v", err)
	}
}

// boxed is a serializer that wraps the request context.
type boxed struct{ oslorpc.NoSerializer }

func (boxed) SerializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	return oslorpc.RequestContext{"box": dict}, nil
}

func (boxed) DeserializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	box, ok := dict["box"].(map[string]any)
	if !ok {
		return nil, errors.New("there is no box")
	}
	return box, nil
}

// TestTypedSerializer passes the request context through serializers.
func TestTypedSerializer(t *testing.T) {
	f := oslorpctest.New(t)
	i := &inventory{name: "a"}
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(i), oslorpc.WithSerializer(boxed{}))
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob"})
	if _, err := volumes(f, oslorpc.WithSerializer(boxed{})).CreateVolume(ctx, &v1.CreateVolumeRequest{}); err != nil {
		t.Fatal(err)
	}
	stream, err := volumes(f, oslorpc.WithSerializer(boxed{})).WatchVolumes(ctx, &v1.WatchVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	for _, dict := range i.dicts {
		if dict["user"] != "bob" {
			t.Errorf("the context is %v", dict)
		}
	}
	_, err = volumes(f).CreateVolume(ctx, &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.BadArguments, true)
	if i.count() != 2 {
		t.Errorf("it ran %d times", i.count())
	}
}

// TestTypedSlowDown makes a test slow a server down.
func TestTypedSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := inventories(t, "1.2")
		f.Server("net1.2").SlowDown(time.Hour)
		_, err := volumes(f, oslorpc.WithTimeout(time.Minute)).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
		wantKind(t, err, oslorpc.Timeout, false)
	})
}

// TestTypedWaitForReady sets gRPC's WaitForReady. A server that cannot be reached does not delay a
// message that another server accepts as soon as it is free.
func TestTypedWaitForReady(t *testing.T) {
	for name, test := range map[string]struct {
		dial []grpc.DialOption
		call []grpc.CallOption
	}{
		"by the call":       {call: []grpc.CallOption{grpc.WaitForReady(true)}},
		"by the connection": {dial: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.WaitForReady(true))}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				for _, server := range []string{"away", "busy"} {
					f.Serve(oslorpc.Target{Topic: "inventory", Server: server}, nil, oslorpc.WithWorkers(1), oslorpc.WithQueue(0, 0), offers(&inventory{name: server}))
				}
				f.Server("away").Partition()
				busy, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if _, err := volumes(f, oslorpc.WithServer("busy")).WatchVolumes(busy, &v1.WatchVolumesRequest{Prefix: "wait"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				c := f.Transport(oslorpc.WithDialOptions(test.dial...)).Client(oslorpc.Target{}, oslorpc.WithTimeout(time.Minute))
				stub := v1.NewInventoryServiceClient(c)
				if reply, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}, test.call...); err != nil || reply.GetName() != "busy" {
					t.Errorf("a call: %v, %v", reply, err)
				}
			})
		})
	}
}

// TestTypedFailFast checks that the gRPC call option decides whether a message waits for a server.
func TestTypedFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		v := volumes(f, oslorpc.WithTimeout(time.Minute))
		_, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}, grpc.WaitForReady(false))
		wantKind(t, err, oslorpc.NoInstance, true)
		stream, err := v.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{}, grpc.WaitForReady(false))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = stream.Recv()
		wantKind(t, err, oslorpc.NoInstance, true)
		if time.Since(began) > 0 {
			t.Errorf("it took %v", time.Since(began))
		}
		time.AfterFunc(10*time.Second, func() {
			f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(&inventory{name: "a"}))
		})
		fast := volumes(f, oslorpc.WithTimeout(time.Minute), oslorpc.WithFailFast(true))
		if _, err := fast.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}, grpc.WaitForReady(true)); err != nil {
			t.Error(err)
		}
	})
}

// badCredentials are per-RPC credentials that return an error.
type badCredentials struct{ credentials.PerRPCCredentials }

func (badCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, errBroken
}

func (badCredentials) RequireTransportSecurity() bool { return false }

// TestTypedBadOptions passes options to calls and streams that gRPC cannot send. They fail at once,
// whichever other options there are.
func TestTypedBadOptions(t *testing.T) {
	f, all := inventories(t, "1.1", "1.2")
	v := volumes(f, oslorpc.WithTimeout(5*time.Second))
	for name, test := range map[string]struct {
		header string
		option grpc.CallOption
		says   string
	}{
		"a compressor":   {option: grpc.UseCompressor("none such"), says: "none such"},
		"a codec":        {option: grpc.CallContentSubtype("none such"), says: "none such"},
		"credentials":    {option: grpc.PerRPCCredentials(badCredentials{}), says: errBroken.Error()},
		"a header field": {option: grpc.EmptyCallOption{}, header: "not good", says: "not good"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if test.header != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, test.header, "x")
			}
			_, err := v.CreateVolume(ctx, &v1.CreateVolumeRequest{}, test.option)
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, test.says)
			stream, err := v.WatchVolumes(ctx, &v1.WatchVolumesRequest{}, test.option)
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, test.says)
		})
	}
	if all["1.1"].count()+all["1.2"].count() > 0 {
		t.Error("it was sent")
	}
}

// TestTypedInterceptorThatServesTwice has a server interceptor that runs each method twice. The
// second cast has the same message ID, so it is dropped.
func TestTypedInterceptorThatServesTwice(t *testing.T) {
	f := oslorpctest.New(t, oslorpc.WithServerOptions(grpc.UnaryInterceptor(
		func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if _, err := handle(ctx, request); err != nil {
				return nil, err
			}
			return handle(ctx, proto.Clone(request.(proto.Message)))
		})))
	i := &inventory{name: "a"}
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(i))
	v := volumes(f)
	if _, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); err != nil || i.count() != 2 {
		t.Errorf("%v, and it ran %d times", err, i.count())
	}
	for n := range 20 {
		if _, err := v.ReportUsage(t.Context(), &v1.ReportUsageRequest{}); err != nil {
			t.Error(err)
		}
		until(t, "it came", func() bool { return i.count() == 3+n })
	}
}

// TestTypedFanoutThatCannotBeEncoded checks that no server is told that it missed a message that
// could not be encoded.
func TestTypedFanoutThatCannotBeEncoded(t *testing.T) {
	f := oslorpctest.New(t)
	i := &inventory{name: "a"}
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(i),
		oslorpc.WithMissedMessages(func(_ context.Context, reason string) { t.Errorf("it missed something: %s", reason) }))
	v := volumes(f)
	_, err := v.InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{Name: "\xff"})
	wantKind(t, err, oslorpc.BadArguments, true)
	wantText(t, err, "UTF-8")
	for n := range 2 {
		if _, err := v.InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{}); err != nil {
			t.Error(err)
		}
		until(t, "it came", func() bool { return i.count() == n+1 })
	}
}
