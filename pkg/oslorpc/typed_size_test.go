package oslorpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// answering is a service that answers with a text, and ignores what its stream reports about the
// text.
type answering struct {
	inventory

	text string
}

func (a *answering) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	return &v1.CreateVolumeResponse{Name: a.text}, a.note(ctx, r)
}

func (a *answering) WatchVolumes(r *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	_ = stream.Send(&v1.WatchVolumesResponse{Name: "first"})
	_ = stream.Send(&v1.WatchVolumesResponse{Name: a.text})
	return a.note(stream.Context(), r)
}

func (a *answering) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return stream.SendAndClose(&v1.ImportVolumesResponse{})
		}
	}
}

// Each end enforces its own limit on typed messages, and reports correctly whether the method ran.
func TestTypedLimits(t *testing.T) {
	const small, large = 64 << 10, 128 << 10
	tooLong := strings.Repeat("x", small)
	for name, test := range map[string]struct {
		server, client int
		text           string
		kind           oslorpc.Kind
		says           string
	}{
		"a result larger than the server's limit": {small, large, tooLong, oslorpc.TooLarge, "this server sends at most 65536"},
		"a result larger than the client's limit": {large, small, tooLong, oslorpc.TooLarge, "where this client takes 65536"},
		"a result that cannot be encoded":         {large, large, "\xff", oslorpc.BadResult, "cannot be encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			f := oslorpctest.New(t, oslorpc.WithLimits(rpc.Limits{MessageSize: test.server}))
			a := &answering{text: test.text}
			f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil,
				oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, a) }))
			v := v1.NewInventoryServiceClient(f.Transport(oslorpc.WithLimits(rpc.Limits{MessageSize: test.client})).Client(oslorpc.Target{}))
			_, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
			wantKind(t, err, test.kind, false)
			wantText(t, err, test.says, "the method ran")
			stream, err := v.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
			must(t, err)
			if first, err := stream.Recv(); first.GetName() != "first" || err != nil {
				t.Errorf("the first item: %v, %v", first, err)
			}
			_, err = stream.Recv()
			wantKind(t, err, test.kind, false)
			wantText(t, err, test.says)
			until(t, "both ran", func() bool { return a.count() == 2 })
		})
	}
	t.Run("requests larger than the server's limit", func(t *testing.T) {
		f := oslorpctest.New(t, oslorpc.WithLimits(rpc.Limits{MessageSize: small}))
		a := &answering{}
		f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil,
			oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, a) }))
		v := v1.NewInventoryServiceClient(f.Transport(oslorpc.WithLimits(rpc.Limits{MessageSize: large})).Client(oslorpc.Target{}))
		_, err := v.CreateVolume(t.Context(), &v1.CreateVolumeRequest{Name: tooLong})
		wantKind(t, err, oslorpc.TooLarge, true)
		_, err = v.ReportUsage(t.Context(), &v1.ReportUsageRequest{Name: tooLong})
		wantKind(t, err, oslorpc.TooLarge, true)
		stream, err := v.ImportVolumes(t.Context())
		must(t, err)
		must(t, stream.Send(&v1.ImportVolumesRequest{Name: tooLong}))
		_, err = stream.CloseAndRecv()
		wantKind(t, err, oslorpc.TooLarge, false) // the method runs, and ignored it
		wantText(t, err, "this server accepts at most 65536")
		if a.count() != 0 {
			t.Error("something ran")
		}
	})
}

// A result that is already JSON text must be valid UTF-8.
func TestResultThatCannotBeEncoded(t *testing.T) {
	serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"bad": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (oslorpc.Raw, error) { return "\"\xff\"", nil }),
	}})
	for name, c := range map[string]*oslorpc.Client{"call": client(t), "monitored call": client(t, monitor(1e9))} {
		_, err := oslorpc.Call[any](t.Context(), c, "bad", nil)
		if oslorpc.KindOf(err) != oslorpc.BadResult || oslorpc.SafeToRetry(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := collect(oslorpc.Multicall[any](t.Context(), client(t), "bad", nil))
	wantKind(t, err, oslorpc.BadResult, false)
}

// If the details of a typed method's status would exceed the size that clients in other languages
// accept, the details are dropped.
func TestTypedStatusWithLargeDetails(t *testing.T) {
	f := creating(t, func(context.Context) error {
		st, err := status.New(codes.NotFound, "no such volume").WithDetails(wrapperspb.String(strings.Repeat("x", 64<<10)))
		if err != nil {
			return err
		}
		return st.Err()
	})
	_, err := volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.Remote, false)
	if st, _ := status.FromError(err); st.Code() != codes.NotFound || st.Message() != "no such volume" || len(st.Details()) != 0 {
		t.Errorf("got %v with %d details", st, len(st.Details()))
	}
}
