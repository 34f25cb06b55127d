package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/service"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// host is a process with one server, which speaks the real protocol.
type host struct {
	instance rpc.Instance
	dispatch *dispatch.Dispatcher
	grpc     *grpc.Server
	serving  sync.WaitGroup
	started  atomic.Int64  // messages
	release  chan struct{} // closed to let messages end
}

// host starts a process with the server of an instance, which has the method build at version 1.4.
// The process is killed when the test ends.
func (w *world) host(t *testing.T, i rpc.Instance, limits dispatch.Limits) *host {
	t.Helper()
	h := &host{instance: i, grpc: grpc.NewServer(), release: make(chan struct{})}
	build := &dispatch.Method{Bind: func(string) (dispatch.Invocation, error) {
		return func(ctx context.Context, emit dispatch.Emit) error {
			h.started.Add(1)
			select {
			case <-h.release:
			case <-ctx.Done():
			}
			return emit("null")
		}, nil
	}}
	table := dispatch.NewTable([]dispatch.Endpoint{{
		Namespaces: []string{""}, Version: rpc.Version{Major: 1, Minor: 4}, Methods: map[string]*dispatch.Method{"build": build},
	}})
	h.dispatch = dispatch.New(dispatch.Config{
		Name: i.Server, Table: table, Limits: limits, Phase: phase.Opened(), Log: slog.New(slog.DiscardHandler),
	})
	in := intake.New(intake.Config{BootID: i.BootID, Exchange: compute.Exchange, MaxSize: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	in.SetServers([]*intake.Server{{Instance: i, Dispatch: h.dispatch}})
	service.New(in).Register(h.grpc, false)
	l := w.network.Listen(i.Addr)
	h.serving.Go(func() { _ = h.grpc.Serve(l) })
	t.Cleanup(h.kill)
	return h
}

func (h *host) kill() {
	h.grpc.Stop()
	h.serving.Wait()
}

// stop stops the process like a server: it finishes the messages that it accepted and refuses
// others.
func (h *host) stop(t *testing.T) {
	t.Helper()
	if err := h.dispatch.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	h.grpc.GracefulStop()
}

// call sends a message like a client.
func call(id, version, method string) Send {
	return func(ctx context.Context, a Attempt) error {
		target := &pb.Target{Topic: &a.Entry.Topic, Version: &version}
		var opened grpcpeer.Peer
		_, err := pb.NewRPCServiceClient(connOf(a)).Call(ctx, &pb.CallRequest{Message: &pb.Message{
			Target: target, Method: method, Id: id, InstanceId: a.Entry.ID,
			Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: "{}"}},
		}}, grpc.Peer(&opened))
		if err == nil {
			return nil
		}
		return rpcstatus.Decode(err, opened.Addr != nil)
	}
}

// unsaid removes the implemented versions of an instance, as for a static address.
func unsaid(i *rpc.Instance) { i.Implemented = nil }

func TestServersThatRefuse(t *testing.T) {
	one := dispatch.Limits{Workers: 1}
	tests := map[string]struct {
		a               rpc.Instance // as it is listed
		version, method string
		before          func(*host)
		kind            rpc.Kind // if a is alone
	}{
		"full": {instance("a", at("a")), "1.2", "build", func(*host) {}, rpc.Refused},
		"stopping": {instance("a", at("a")), "1.2", "build", func(h *host) {
			go func() { _ = h.dispatch.Stop(context.Background()) }()
			synctest.Wait()
		}, rpc.NoInstance},
		"misdirected":      {instance("before", at("a")), "1.2", "build", func(*host) {}, rpc.Refused}, // a itself lingers, and is full
		"too old":          {instance("a", at("a"), unsaid), "1.9", "build", func(*host) {}, rpc.UnsupportedVersion},
		"without a method": {instance("a", at("a")), "1.2", "reboot", func(*host) {}, rpc.NoSuchMethod},
	}
	bubble(t, tests, func(t *testing.T, tt struct {
		a               rpc.Instance
		version, method string
		before          func(*host)
		kind            rpc.Kind
	}) {
		w := newWorld(t, tt.a)
		a := w.host(t, instance("a", at("a")), one)
		busy := make(chan error)
		go func() { // takes the only worker
			w.registry.list(instance("a", at("a")))
			busy <- One(within(t, time.Minute), w.topic, message(), call("1", "1.2", "build"))
		}()
		synctest.Wait()
		w.registry.list(tt.a)
		tt.before(a)

		err := One(within(t, time.Second), w.topic, message(), call("2", tt.version, tt.method))
		expectError(t, err, tt.kind)

		// This program answers everything with a final error.
		w.registry.list(tt.a, instance("b", at("b"), unsaid))
		b := w.network.Serve("b", func(r grpc.ServiceRegistrar) { pb.RegisterRPCServiceServer(r, taker{}) })
		if err := One(within(t, time.Second), w.topic, message(), call("3", tt.version, tt.method)); err != nil {
			t.Errorf("it did not go elsewhere: %v", err)
		}
		close(a.release)
		if err := <-busy; err != nil {
			t.Error(err)
		}
		b()
		if n := a.started.Load(); n != 1 {
			t.Errorf("%d messages ran at the one that refuses", n)
		}
	})
}

// taker accepts all calls.
type taker struct {
	pb.UnimplementedRPCServiceServer
}

func (taker) Call(context.Context, *pb.CallRequest) (*pb.CallResponse, error) {
	return &pb.CallResponse{}, nil
}

func TestKilledWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a", at("a")), instance("b", at("b")))
		a, b := w.host(t, instance("a", at("a")), dispatch.DefaultLimits), w.host(t, instance("b", at("b")), dispatch.DefaultLimits)
		time.AfterFunc(5*time.Second, a.kill)
		begin := time.Now()
		err := One(within(t, time.Minute), w.topic, message(), call("1", "1.2", "build"))
		about(t, time.Since(begin), 5*time.Second, 5*time.Second)
		if rpc.KindOf(err) != rpc.OutcomeUnknown || rpc.SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
		if a.started.Load() != 1 || b.started.Load() != 0 {
			t.Errorf("it ran %d times at the one that was killed, %d at the other", a.started.Load(), b.started.Load())
		}
	})
}

// TestServersComeAndGoUnderLoad stops servers gracefully one after the other while the registry is
// late. No message fails, and each runs once.
func TestServersComeAndGoUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var hosts []*host
		start := func(n int) rpc.Instance {
			i := instance(fmt.Sprint(n), at(fmt.Sprint("addr-", n)))
			h := w.host(t, i, dispatch.Limits{Workers: 4, Queue: 4, QueueBytes: 1 << 20})
			close(h.release)
			hosts = append(hosts, h)
			return i
		}
		w.registry.list(start(0), start(1))

		const callers, calls = 16, 100
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for n := range calls {
					m := message()
					m.Turn = uint64(caller + n)
					id := fmt.Sprint(caller, "-", n)
					if err := One(within(t, time.Minute), w.topic, m, call(id, "1.2", "build")); err != nil {
						t.Error(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for n := 2; n < 10; n++ {
			time.Sleep(time.Second)
			next := start(n)
			hosts[n-2].stop(t)
			time.Sleep(100 * time.Millisecond) // meanwhile the registry lists it still, and not yet the new one
			w.registry.list(hosts[n-1].instance, next)
		}
		all.Wait()
		ran := int64(0)
		for _, h := range hosts {
			ran += h.started.Load()
		}
		if ran != callers*calls {
			t.Errorf("%d messages ran %d times", callers*calls, ran)
		}
	})
}
