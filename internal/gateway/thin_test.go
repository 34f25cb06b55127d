package gateway_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// TestThinStub checks that a gateway forwards the message of a plain stub to its target, with
// everything that the message contains.
func TestThinStub(t *testing.T) {
	f := newFleet(t)
	a, b := f.serve(t, "a"), f.serve(t, "b")
	g := f.gateway(t, "gw")
	c, ctx := pb.NewRPCServiceClient(g.connect(t)), bounded(t)

	t.Run("turns", func(t *testing.T) {
		seen := map[string]int{}
		for range 8 {
			r, err := c.Call(ctx, &pb.CallRequest{Message: to("", "whoami")})
			if err != nil {
				t.Fatal(err)
			}
			seen[r.GetResult().GetValue().GetStringValue()]++
		}
		if seen["a"] != 4 || seen["b"] != 4 {
			t.Errorf("the servers ran %v, want 4 each", seen)
		}
	})
	t.Run("name, id, context, metadata and order key", func(t *testing.T) {
		m := to("b", "echo")
		m.Id, m.OrderKey, m.Context, m.Kwargs = "one", "key", text(`{"user":"ann"}`), text(`{"n": 123456789012345678901234567890, "f": 1.0}`)
		m.Metadata = map[string]string{"traceparent": "00-1", "raw-bin": "AP8"}
		r, err := c.Call(ctx, &pb.CallRequest{Message: m})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.GetResult().GetJson(); got != `{"f":1.0,"n":123456789012345678901234567890}` {
			t.Errorf("the result is %s", got)
		}
		got := b.last()
		if got.ID != "one" || got.OrderKey != "key" || got.Metadata.Get("traceparent") != "00-1" || got.Metadata.Get("raw-bin") != "\x00\xff" {
			t.Errorf("the server saw %+v", got)
		}
	})
	t.Run("instance", func(t *testing.T) {
		m := to("", "whoami")
		m.InstanceId = a.instance.ID
		r, err := c.Call(ctx, &pb.CallRequest{Message: m})
		if err != nil || r.GetResult().GetValue().GetStringValue() != "a" {
			t.Errorf("got %v, %v, want a", r, err)
		}
		m.InstanceId = "gone.1"
		_, err = c.Call(ctx, &pb.CallRequest{Message: m})
		if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_STOPPING || !d.GetNotStarted() {
			t.Errorf("an unknown instance: %v", err)
		}
	})
	t.Run("failure", func(t *testing.T) {
		_, err := c.Call(ctx, &pb.CallRequest{Message: to("a", "fail")})
		d := detail(t, err)
		if d.GetKind() != pb.ErrorKind_ERROR_KIND_REMOTE || d.GetServer() != "a" || d.GetInstanceId() != a.instance.ID ||
			!slices.Equal(d.GetRemote().GetHops(), []string{"a"}) || d.GetRemote().GetMessage() != errShop.Error() {
			t.Errorf("the detail is %v", d)
		}
	})
	t.Run("multicall", func(t *testing.T) {
		stream, err := c.Multicall(ctx, &pb.MulticallRequest{Message: to("", "count")})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1.0; ; n++ {
			item, err := stream.Recv()
			if errors.Is(err, io.EOF) && n == 4 {
				return
			}
			if err != nil || item.GetItem().GetValue().GetNumberValue() != n {
				t.Fatalf("item %v is %v, %v", n, item, err)
			}
		}
	})
	t.Run("heartbeats", func(t *testing.T) {
		stream, err := c.MonitoredCall(ctx, &pb.MonitoredCallRequest{Message: to("a", "wait"), HeartbeatInterval: durationpb.New(500 * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r, err := stream.Recv(); err != nil || r.GetHeartbeat() == nil {
				t.Fatalf("got %v, %v, want a heartbeat", r, err)
			}
		}
	})
	t.Run("no server", func(t *testing.T) {
		nowhere := "nowhere"
		m := to("", "whoami")
		m.Target.Topic, m.Remaining = &nowhere, durationpb.New(10*time.Millisecond)
		_, err := c.Call(ctx, &pb.CallRequest{Message: m})
		if d := detail(t, err); !d.GetNotStarted() {
			t.Errorf("got %v", d)
		}
	})
}

// TestThinStubOfATypedService checks that a gateway forwards messages of services that it does not
// know, as bytes.
func TestThinStubOfATypedService(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	f.serve(t, "b")
	g := f.gateway(t, "gw")
	c := v1.NewInventoryServiceClient(g.connect(t))
	ctx := metadata.AppendToOutgoingContext(bounded(t), "oslorpc-topic", topic, "oslorpc-server", "a", "tenant", "blue")

	var trailer metadata.MD
	r, err := c.GetVolume(ctx, &v1.GetVolumeRequest{Name: "v"}, grpc.Trailer(&trailer))
	if err != nil || r.GetName() != "a/v" || a.last().Metadata.Get("tenant") != "blue" || !slices.Equal(trailer.Get("cost"), []string{"7"}) {
		t.Errorf("unary: %v, %v, with the trailer %v", r, err, trailer)
	}
	if _, err = c.GetVolume(ctx, &v1.GetVolumeRequest{}); status.Code(err) != codes.NotFound || detail(t, err).GetServer() != "a" {
		t.Errorf("a status of the method: %v", err)
	}
	watch, err := c.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if item, err := watch.Recv(); err != nil || item.GetName() != "a" {
			t.Fatalf("item: %v, %v", item, err)
		}
	}
	if _, err := watch.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the stream: %v", err)
	}
	imports, err := c.ImportVolumes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := imports.Send(&v1.ImportVolumesRequest{Name: "v"}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := imports.CloseAndRecv(); err != nil || r.GetImported() != 3 {
		t.Errorf("messages of the client: %v, %v", r, err)
	}
	sync, err := c.SyncVolumes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "y"} {
		if err := sync.Send(&v1.SyncVolumesRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if r, err := sync.Recv(); err != nil || r.GetName() != name {
			t.Fatalf("both ways: %v, %v", r, err)
		}
	}
	if err := sync.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := sync.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of both ways: %v", err)
	}
	_, err = c.GetVolume(bounded(t), &v1.GetVolumeRequest{Name: "v"})
	if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_INVALID_TARGET || !d.GetNotStarted() {
		t.Errorf("without a topic: %v", err)
	}
}

// TestService checks that GatewayService reaches all servers and returns their names.
func TestService(t *testing.T) {
	f := newFleet(t)
	a, b := f.serve(t, "a"), f.serve(t, "b")
	g := f.gateway(t, "gw")
	c, ctx := pb.NewGatewayServiceClient(g.connect(t)), bounded(t)

	fanout, err := c.Fanout(ctx, &pb.FanoutRequest{Message: to("", "whoami")})
	if err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	for {
		r, err := fanout.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted[r.GetServer()+r.GetInstanceId()] = r.GetAccepted() != nil
	}
	if len(accepted) != 2 || !accepted["a"+a.instance.ID] || !accepted["b"+b.instance.ID] {
		t.Errorf("the fanout reached %v", accepted)
	}
	gather, err := c.Gather(ctx, &pb.GatherRequest{Message: to("", "fail")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := gather.Recv()
		if err != nil || len(r.GetStatus()) == 0 {
			t.Errorf("gather: %v, %v", r, err)
		}
	}
	list, err := c.List(ctx, &pb.ListRequest{})
	if err != nil || len(list.GetInstances()) != 3 {
		t.Errorf("list: %v, %v", list, err)
	}
	watch, err := c.Watch(ctx, &pb.WatchRequest{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || len(r.GetInstances()) != 2 || r.GetBootId() != list.GetBootId() {
		t.Errorf("watch: %v, %v", r, err)
	}
	if err := b.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		r, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.GetInstances()) == 1 && r.GetInstances()[0].GetId() == a.instance.ID {
			break
		}
	}
	if err := g.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = watch.Recv()
	if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_STOPPING {
		t.Errorf("the watch at a gateway that stops ends with %v", err)
	}
}

// TestUnsupportedVersion checks that a gateway forwards the versions that a server says it
// implements.
func TestUnsupportedVersion(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	direct, through := f.stubOf(t, a.instance.Addr), f.stubOf(t, f.gateway(t, "gw").addr)
	for name, c := range map[string]pb.RPCServiceClient{"directly": direct, "through a gateway": through} {
		m, version := to("a", "whoami"), "9.0"
		m.InstanceId, m.Target.Version = a.instance.ID, &version
		_, err := c.Call(bounded(t), &pb.CallRequest{Message: m})
		if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION || !d.GetNotStarted() || len(d.GetImplemented()) == 0 {
			t.Errorf("%s: %v", name, d)
		}
	}
}
