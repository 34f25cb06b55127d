package oslorpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// inventory is a typed service that records the messages that arrive.
type inventory struct {
	v1.UnimplementedInventoryServiceServer

	name string

	mu       sync.Mutex
	requests []proto.Message
	asked    []*oslorpc.Message
	dicts    []oslorpc.RequestContext
	fails    error
}

func (i *inventory) note(ctx context.Context, r proto.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := oslorpc.MessageFrom(ctx)
	i.requests, i.asked, i.dicts = append(i.requests, r), append(i.asked, asked), append(i.dicts, oslorpc.ContextFrom(ctx))
	return i.fails
}

func (i *inventory) last(t *testing.T) (proto.Message, *oslorpc.Message) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.requests) == 0 {
		t.Fatalf("nothing came to %s", i.name)
	}
	return i.requests[len(i.requests)-1], i.asked[len(i.asked)-1]
}

func (i *inventory) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requests)
}

func (i *inventory) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	return &v1.CreateVolumeResponse{Name: i.name}, i.note(ctx, r)
}

func (i *inventory) ResizeVolume(ctx context.Context, r *v1.ResizeVolumeRequest) (*v1.ResizeVolumeResponse, error) {
	return &v1.ResizeVolumeResponse{Size: r.GetSize()}, i.note(ctx, r)
}

func (i *inventory) SnapshotVolume(ctx context.Context, r *v1.SnapshotVolumeRequest) (*v1.SnapshotVolumeResponse, error) {
	return &v1.SnapshotVolumeResponse{Snapshot: i.name}, i.note(ctx, r)
}

func (i *inventory) ReportUsage(ctx context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, i.note(ctx, r)
}

func (i *inventory) InvalidateCache(ctx context.Context, r *v1.InvalidateCacheRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, i.note(ctx, r)
}

func (i *inventory) WatchVolumes(r *v1.WatchVolumesRequest, stream grpc.ServerStreamingServer[v1.WatchVolumesResponse]) error {
	if err := i.note(stream.Context(), r); err != nil {
		return err
	}
	for name := range strings.FieldsSeq(r.GetPrefix()) {
		if name == "wait" {
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		if err := stream.Send(&v1.WatchVolumesResponse{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

func (i *inventory) ImportVolumes(stream grpc.ClientStreamingServer[v1.ImportVolumesRequest, v1.ImportVolumesResponse]) error {
	n := int64(0)
	for ; ; n++ {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&v1.ImportVolumesResponse{Imported: n})
		}
		if err != nil {
			return err
		}
		if err := i.note(stream.Context(), r); err != nil {
			return err
		}
	}
}

func (i *inventory) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // The client has no more.
		}
		if err := i.note(stream.Context(), r); err != nil {
			return err
		}
		if err := stream.Send(&v1.SyncVolumesResponse{Name: i.name + ":" + r.GetName()}); err != nil {
			return err
		}
	}
}

const inventoryService = "typedtest.v1.InventoryService"

// inventories starts a fleet of servers that offer the inventory, each at a version. Their names
// are "net" and the version, with a letter if several have the same version.
func inventories(t *testing.T, versions ...string) (*oslorpctest.Fleet, map[string]*inventory) {
	t.Helper()
	f := oslorpctest.New(t)
	return f, inventoriesIn(f, versions...)
}

// inventoriesIn serves the inventory in a fleet, once for each version.
func inventoriesIn(f *oslorpctest.Fleet, versions ...string) map[string]*inventory {
	all := map[string]*inventory{}
	for _, v := range versions {
		i := &inventory{name: "net" + v}
		all[v] = i
		f.Serve(oslorpc.Target{Topic: "inventory", Server: i.name}, nil,
			oslorpc.WithServiceVersion(inventoryService, v), oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, i) }))
	}
	return all
}

func volumes(f *oslorpctest.Fleet, options ...oslorpc.ClientOption) v1.InventoryServiceClient {
	return v1.NewInventoryServiceClient(f.Client(oslorpc.Target{}, options...))
}

func TestTypedCall(t *testing.T) {
	f, all := inventories(t, "1.2")
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob"})
	request := &v1.CreateVolumeRequest{Name: "a", Size: 3, Tags: []string{"fast"}}
	reply, err := volumes(f).CreateVolume(ctx, request)
	if err != nil || reply.GetName() != "net1.2" {
		t.Fatalf("got %v, %v", reply, err)
	}
	got, asked := all["1.2"].last(t)
	if !proto.Equal(got, request) {
		t.Errorf("it got %v", got)
	}
	if asked.Target.Version != "1.2" || asked.Target.Namespace != "volumes" || asked.Method != "CreateVolume" || asked.Server != "net1.2" {
		t.Errorf("it was asked %+v", asked)
	}
	if user := all["1.2"].dicts[0]["user"]; user != "bob" {
		t.Errorf("the context says %v", user)
	}
}

// TestTypedVersions sends messages to fleets of different versions.
func TestTypedVersions(t *testing.T) {
	plain := func() *v1.CreateVolumeRequest { return &v1.CreateVolumeRequest{Name: "a"} }
	droppable := func() *v1.CreateVolumeRequest { return &v1.CreateVolumeRequest{Name: "a", Weight: proto.Int32(1)} } // since 1.2
	twice := func() *v1.CreateVolumeRequest {
		return &v1.CreateVolumeRequest{Name: "a", Weight: proto.Int32(1), Description: "d"}
	} // 1.2 and 1.1
	strict := func() *v1.CreateVolumeRequest { return &v1.CreateVolumeRequest{Name: "a", Tags: []string{"x"}} } // since 1.2
	for name, test := range map[string]struct {
		fleet   []string
		cap     string
		request *v1.CreateVolumeRequest
		to      string // the version of the server that gets it
		at      string // the version that it asks for
		want    *v1.CreateVolumeRequest
		kind    oslorpc.Kind
		says    []string
	}{
		"unset goes as the oldest":       {fleet: []string{"1.1"}, request: plain(), to: "1.1", at: "1.0", want: plain()},
		"dropped for an older fleet":     {fleet: []string{"1.1"}, request: droppable(), to: "1.1", at: "1.0", want: plain()},
		"not dropped where it is known":  {fleet: []string{"1.1", "1.2"}, request: droppable(), to: "1.2", at: "1.2", want: droppable()},
		"dropped step by step":           {fleet: []string{"1.0", "1.1"}, request: twice(), to: "1.1", at: "1.1", want: &v1.CreateVolumeRequest{Name: "a", Description: "d"}},
		"dropped to the last":            {fleet: []string{"1.0"}, request: twice(), to: "1.0", at: "1.0", want: plain()},
		"dropped for auto":               {fleet: []string{"1.0", "1.2"}, cap: "auto", request: twice(), at: "1.0", want: plain()},
		"dropped for a fixed cap":        {fleet: []string{"1.2"}, cap: "1.1", request: twice(), to: "1.2", at: "1.1", want: &v1.CreateVolumeRequest{Name: "a", Description: "d"}},
		"auto forbids nothing":           {fleet: []string{"1.0", "1.2"}, cap: "auto", request: strict(), to: "1.2", at: "1.2", want: strict()},
		"refused, if it may not go":      {fleet: []string{"1.1"}, request: strict(), kind: oslorpc.UnsupportedVersion, says: []string{"field tags", "needs version 1.2", "net1.1"}},
		"refused by the cap":             {fleet: []string{"1.2"}, cap: "1.1", request: strict(), kind: oslorpc.VersionCapExceeded, says: []string{"field tags", "needs version 1.2", "cap is 1.1"}},
		"refused by a cap that is alone": {cap: "2.0", request: plain(), kind: oslorpc.VersionCapExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			f, all := inventories(t, test.fleet...)
			before := proto.Clone(test.request)
			reply, err := volumes(f, oslorpc.WithVersionCap(test.cap)).CreateVolume(t.Context(), test.request)
			if !proto.Equal(before, test.request) {
				t.Errorf("the message was changed: %v", test.request)
			}
			if test.want == nil {
				wantKind(t, err, test.kind, true)
				wantText(t, err, test.says...)
				if status.Code(err) != codes.FailedPrecondition {
					t.Errorf("the status is %v", status.Code(err))
				}
				for v, i := range all {
					if i.count() > 0 {
						t.Errorf("it came to %s", v)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, asked := all[strings.TrimPrefix(reply.GetName(), "net")].last(t)
			if !proto.Equal(got, test.want) || asked.Target.Version != test.at || (test.to != "" && reply.GetName() != "net"+test.to) {
				t.Errorf("%s got %v at %s, want %s %v at %s", reply.GetName(), got, asked.Target.Version, test.to, test.want, test.at)
			}
		})
	}
}

func TestTypedMethodsAppear(t *testing.T) {
	f, _ := inventories(t, "1.1")
	if _, err := volumes(f).ResizeVolume(t.Context(), &v1.ResizeVolumeRequest{Size: 1}); err != nil {
		t.Error(err)
	}
	_, err := volumes(f).SnapshotVolume(t.Context(), &v1.SnapshotVolumeRequest{})
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	wantText(t, err, "method SnapshotVolume needs version 1.2", "net1.1")
}

func TestTypedCast(t *testing.T) {
	f, all := inventories(t, "1.2")
	f.Server("net1.2").Hold()
	if _, err := volumes(f).ReportUsage(t.Context(), &v1.ReportUsageRequest{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if n := all["1.2"].count(); n != 0 {
		t.Errorf("it ran before it was accepted, %d times", n)
	}
	f.Server("net1.2").Release()
	until(t, "it came", func() bool { return all["1.2"].count() == 1 })
}

func TestTypedFanout(t *testing.T) {
	f, all := inventories(t, "1.0", "1.1", "1.2")
	var report oslorpc.Report
	if _, err := volumes(f).InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{Name: "a", Labels: []string{"l"}}, oslorpc.FanoutReport(&report)); err != nil {
		t.Fatal(err)
	}
	if len(report.Accepted) != 3 || len(report.Skipped)+len(report.Failed) != 0 {
		t.Errorf("the report is %+v", report)
	}
	for v, i := range all {
		until(t, "it came", func() bool { return i.count() == 1 })
		got, asked := i.last(t)
		if labels := got.(*v1.InvalidateCacheRequest).GetLabels(); (len(labels) == 1) != (v == "1.2") || (v == "1.2") != (asked.Target.Version == "1.2") {
			t.Errorf("%s got %v at %s", v, got, asked.Target.Version)
		}
	}
	if _, err := volumes(f).InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{At: 3}, oslorpc.FanoutReport(&report)); err != nil {
		t.Fatal(err)
	}
	if len(report.Accepted) != 2 || len(report.Skipped) != 1 || report.Skipped[0].Instance.Server != "net1.0" {
		t.Errorf("the report is %+v", report)
	}
	wantText(t, report.Skipped[0].Err, "field at", "needs version 1.1", "net1.0")
}

func TestTypedErrors(t *testing.T) {
	f, all := inventories(t, "1.2")
	i := all["1.2"]
	for name, test := range map[string]struct {
		fails error
		code  codes.Code
		text  string
	}{
		"a status":      {status.Error(codes.NotFound, "no such pool"), codes.NotFound, "no such pool"},
		"a plain error": {errBroken, codes.Unknown, errBroken.Error()},
		"unavailable":   {status.Error(codes.Unavailable, "later"), codes.Unavailable, "later"},
	} {
		t.Run(name, func(t *testing.T) {
			i.fails = test.fails
			_, err := volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
			wantKind(t, err, oslorpc.Remote, false)
			st, ok := status.FromError(err)
			if !ok || st.Code() != test.code || !strings.Contains(st.Message(), test.text) || len(st.Details()) != 0 {
				t.Errorf("the status is %v, %v", st, st.Details())
			}
			if remote, ok := errors.AsType[*oslorpc.RemoteError](err); !ok || !strings.Contains(remote.Message, test.text) {
				t.Errorf("the remote error is %v", remote)
			}
		})
	}
}

func TestTypedServerStream(t *testing.T) {
	f, all := inventories(t, "1.2")
	stream, err := volumes(f).WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "a b c", Revision: 7})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.GetName())
	}
	if strings.Join(got, "") != "abc" {
		t.Errorf("got %v", got)
	}
	if _, asked := all["1.2"].last(t); asked.Target.Version != "1.1" {
		t.Errorf("it was asked at %s", asked.Target.Version)
	}
}

// TestTypedServerStreamBegins does not receive. The stream starts nevertheless.
func TestTypedServerStreamBegins(t *testing.T) {
	f, all := inventories(t, "1.2")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := volumes(f).WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it came", func() bool { return all["1.2"].count() == 1 })
	cancel()
	_, err = stream.Recv()
	wantKind(t, err, oslorpc.Canceled, false)
	if status.Code(err) != codes.Canceled {
		t.Errorf("the status is %v", err)
	}
}

func TestTypedClientStream(t *testing.T) {
	f, _ := inventories(t, "1.2")
	stream, err := volumes(f).ImportVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := stream.Send(&v1.ImportVolumesRequest{Name: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := stream.CloseAndRecv(); err != nil || reply.GetImported() != 3 {
		t.Errorf("got %v, %v", reply, err)
	}
	empty, err := volumes(f).ImportVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := empty.CloseAndRecv(); err != nil || reply.GetImported() != 0 {
		t.Errorf("an empty stream: %v, %v", reply, err)
	}
}

// TestTypedStreamVersions sends messages that need a later version than the message that opened the
// stream.
func TestTypedStreamVersions(t *testing.T) {
	f, all := inventories(t, "1.2")
	stream, err := volumes(f).ImportVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(stream.Send(&v1.ImportVolumesRequest{Name: "a"}))                                              // opens at 1.1, as the method is
	must(stream.Send(&v1.ImportVolumesRequest{Name: "b", Labels: map[string]string{"dropped": "yes"}})) // since 1.2
	until(t, "both came", func() bool { return all["1.2"].count() == 2 })
	err = stream.Send(&v1.ImportVolumesRequest{Name: "c", Replace: true})
	wantKind(t, err, oslorpc.UnsupportedVersion, false)
	wantText(t, err, "field replace", "needs version 1.2", "opened at 1.1")
	if got, asked := all["1.2"].last(t); len(got.(*v1.ImportVolumesRequest).GetLabels()) != 0 || asked.Target.Version != "1.1" {
		t.Errorf("it got %v at %s", got, asked.Target.Version)
	}
	later, err := volumes(f, oslorpc.WithVersion("1.2")).ImportVolumes(t.Context())
	must(err)
	must(later.Send(&v1.ImportVolumesRequest{Name: "a"}))
	must(later.Send(&v1.ImportVolumesRequest{Name: "c", Replace: true}))
	_, err = later.CloseAndRecv()
	must(err)
}

func TestTypedBidi(t *testing.T) {
	f, _ := inventories(t, "1.0")
	stream, err := volumes(f).SyncVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan string, 2)
	go func() { // before anything is sent
		for range 2 {
			r, _ := stream.Recv()
			received <- r.GetName()
		}
	}()
	for _, name := range []string{"a", "b"} {
		if err := stream.Send(&v1.SyncVolumesRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if got := <-received; got != "net1.0:"+name {
			t.Errorf("got %s", got)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// TestTypedStreamGoesElsewhere makes the first server refuse the stream.
func TestTypedStreamGoesElsewhere(t *testing.T) {
	f := oslorpctest.New(t)
	var all []*inventory
	for _, name := range []string{"a", "b"} {
		i := &inventory{name: name}
		all = append(all, i)
		f.Serve(oslorpc.Target{Topic: "inventory", Server: name}, nil, oslorpc.WithWorkers(1), oslorpc.WithQueue(0, 0),
			oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, i) }))
	}
	s := volumes(f)
	for n := range 2 { // each server has one worker and no queue
		if _, err := s.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "wait"}); err != nil {
			t.Fatal(err)
		}
		until(t, "it came", func() bool { return all[0].count()+all[1].count() == n+1 })
	}
	if all[0].count() != 1 || all[1].count() != 1 {
		t.Errorf("%d and %d streams", all[0].count(), all[1].count())
	}
	third, err := volumes(f, oslorpc.WithRetry(0)).WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "x"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = third.Recv()
	wantKind(t, err, oslorpc.Refused, true)
}

func TestTypedBadUse(t *testing.T) {
	f, _ := inventories(t, "1.2")
	plain := v1.NewPlainServiceClient(f.Client(oslorpc.Target{}))
	_, err := plain.Echo(t.Context(), &v1.EchoRequest{})
	wantKind(t, err, oslorpc.InvalidTarget, true)
	wantText(t, err, "topic", "typedtest.v1.PlainService")
	_, err = v1.NewPlainServiceClient(f.Client(oslorpc.Target{Topic: "inventory"})).Echo(t.Context(), &v1.EchoRequest{})
	wantKind(t, err, oslorpc.UnsupportedVersion, true)
	_, err = volumes(f, oslorpc.WithFanout(true)).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.InvalidTarget, true)
	err = f.Client(oslorpc.Target{Topic: "inventory"}).Invoke(t.Context(), "/no.Such/Method", &emptypb.Empty{}, &emptypb.Empty{})
	wantKind(t, err, oslorpc.Invalid, true)
	_, err = volumes(f, oslorpc.WithServer("nobody"), oslorpc.WithRetry(0)).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.NoInstance, true)
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the status is %v", status.Code(err))
	}
}

func TestTypedSizes(t *testing.T) {
	f := oslorpctest.New(t, oslorpc.WithLimits(rpc.Limits{MessageSize: 1 << 10}))
	i := &inventory{name: strings.Repeat("x", 2<<20)} // its answer is above gRPC's limit, too
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, i) }))
	_, err := volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{Name: strings.Repeat("x", 1<<10)})
	wantKind(t, err, oslorpc.TooLarge, true)
	if status.Code(err) != codes.ResourceExhausted || i.count() != 0 {
		t.Errorf("the status is %v, and it ran %d times", status.Code(err), i.count())
	}
	_, err = volumes(f).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.TooLarge, false)
	stream, err := volumes(f).ImportVolumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&v1.ImportVolumesRequest{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, stream.Send(&v1.ImportVolumesRequest{Name: strings.Repeat("x", 1<<10)}), oslorpc.TooLarge, false) // the method runs
}

func TestTypedHabits(t *testing.T) {
	f := oslorpctest.New(t)
	lossy := volumes(f, oslorpc.WithLossyCasts(true), oslorpc.WithRetry(0))
	if _, err := lossy.ReportUsage(t.Context(), &v1.ReportUsageRequest{}); err != nil {
		t.Errorf("a lossy cast: %v", err)
	}
	_, err := lossy.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.NoInstance, true)
}

// TestTypedStopsWithStreams stops a server whose methods wait for a silent client.
func TestTypedStopsWithStreams(t *testing.T) {
	f, all := inventories(t, "1.2")
	stream, err := volumes(f).WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return all["1.2"].count() == 1 })
	f.Server("net1.2").Kill()
	_, err = stream.Recv()
	wantKind(t, err, oslorpc.OutcomeUnknown, false)
}

func TestRegisterServiceMistakes(t *testing.T) {
	transport := open(t)
	register := oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, &inventory{}) })
	for name, test := range map[string]struct {
		options []oslorpc.ServerOption
		says    string
	}{
		"twice":              {[]oslorpc.ServerOption{register, register}, "twice"},
		"a later version":    {[]oslorpc.ServerOption{register, oslorpc.WithServiceVersion(inventoryService, "1.3")}, "cannot be offered at 1.3"},
		"another major":      {[]oslorpc.ServerOption{register, oslorpc.WithServiceVersion(inventoryService, "0.9")}, "cannot be offered at 0.9"},
		"not a version":      {[]oslorpc.ServerOption{register, oslorpc.WithServiceVersion(inventoryService, "new")}, "malformed"},
		"not in the program": {[]oslorpc.ServerOption{oslorpc.WithServices(func(r grpc.ServiceRegistrar) { r.RegisterService(&grpc.ServiceDesc{ServiceName: "no.Such"}, nil) })}, "no.Such"},
		"not the handler": {[]oslorpc.ServerOption{oslorpc.WithServices(func(r grpc.ServiceRegistrar) {
			r.RegisterService(&v1.InventoryService_ServiceDesc, errBroken)
		})}, "does not implement"},
		"not all methods": {[]oslorpc.ServerOption{oslorpc.WithServices(func(r grpc.ServiceRegistrar) {
			part := v1.InventoryService_ServiceDesc
			part.Methods = part.Methods[1:]
			r.RegisterService(&part, &inventory{})
		})}, "no handler for its method GetVolume"},
		"not all streams": {[]oslorpc.ServerOption{oslorpc.WithServices(func(r grpc.ServiceRegistrar) {
			part := v1.InventoryService_ServiceDesc
			part.Streams = part.Streams[1:]
			r.RegisterService(&part, &inventory{})
		})}, "no handler for its method ImportVolumes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := transport.Server(oslorpc.Target{Topic: "inventory", Server: "a"}, test.options...).Start(t.Context())
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, test.says)
		})
	}
}

// TestTypedBesideDynamic offers a typed service and an endpoint in the same namespace on one
// server.
func TestTypedBesideDynamic(t *testing.T) {
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, []oslorpc.Endpoint{{Namespace: "volumes", Version: "1.4", Struct: oslorpc.Methods(newAgent("a"))}},
		oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, &inventory{name: "a"}) }))
	c := f.Client(oslorpc.Target{Topic: "inventory", Namespace: "volumes", Version: "1.3"})
	if who, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil || who != "a" {
		t.Errorf("got %v, %v", who, err)
	}
	if reply, err := v1.NewInventoryServiceClient(c).CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); err != nil || reply.GetName() != "a" {
		t.Errorf("got %v, %v", reply, err)
	}
	_, err := oslorpc.Call[string](t.Context(), c, "CreateVolume", nil)
	wantKind(t, err, oslorpc.NoSuchMethod, true)
}

// TestTypedWhereTheServiceIsNot has a server that implements the namespace without the service. A
// typed message goes to another server, and the registration of the first one does not change.
func TestTypedWhereTheServiceIsNot(t *testing.T) {
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, []oslorpc.Endpoint{{Namespace: "volumes", Version: "1.2", Struct: oslorpc.Methods(newAgent("a"))}})
	c := f.Client(oslorpc.Target{Topic: "inventory", Namespace: "volumes"}, oslorpc.WithRetry(0))
	stub := v1.NewInventoryServiceClient(c)
	_, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, err, oslorpc.NoSuchMethod, true)
	if who, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); who != "a" || err != nil {
		t.Errorf("afterwards, another message got %q, %v", who, err)
	}
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "b"}, nil,
		oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, &inventory{name: "b"}) }))
	for range 4 { // by turns, but for what is refused
		if reply, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); reply.GetName() != "b" || err != nil {
			t.Errorf("got %v, %v", reply, err)
		}
	}
	var report oslorpc.Report
	if _, err := stub.InvalidateCache(t.Context(), &v1.InvalidateCacheRequest{}, oslorpc.FanoutReport(&report)); err != nil || len(report.Accepted) != 1 || len(report.Skipped) != 1 {
		t.Errorf("the fanout's report is %+v, %v", report, err)
	}
}
