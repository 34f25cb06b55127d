package conformance

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/discovery/memory"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// recorder is a server that runs nothing. It records each message as it arrived, and answers null.
type recorder struct {
	pb.UnimplementedRPCServiceServer

	mu     sync.Mutex
	got    []sent
	refuse error  // the answer instead of null, if it is set
	result string // the result of calls instead of null, as JSON, if it is set
}

// sent is a message as it arrived.
type sent struct {
	*pb.Message

	kind      string
	heartbeat time.Duration // the requested interval; 0 for none
	// left is the time until its deadline.
	left time.Duration
}

// The recorder registers as all of these. A message without a server would not be recorded.
var (
	exchanges = []string{"openstack", "testexchange"}
	servers   = []string{"otherserver", "testserver"}
)

const topic = "testtopic"

// record returns a recorder and a transport that reaches it. The caller must be in a synctest
// bubble, since the recorder has no sockets.
func record(t *testing.T) (*recorder, *oslorpc.Transport) {
	t.Helper()
	var network peertest.Network
	r := &recorder{}
	t.Cleanup(network.Serve("recorder", func(s grpc.ServiceRegistrar) { pb.RegisterRPCServiceServer(s, r) }))
	name := publish(t)
	transport, err := oslorpc.Open(name,
		oslorpc.WithDialOptions(network.Options()...), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, transport
}

var registries atomic.Int64

// publish registers the servers of the recorder, and returns the URL of the registry.
func publish(t *testing.T) string {
	t.Helper()
	u := &url.URL{Scheme: "memory", Host: fmt.Sprintf("recorder%d", registries.Add(1))}
	registry, err := memory.Open(u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close(context.Background()) }) // it never fails
	var list []rpc.Instance
	for _, exchange := range exchanges {
		for _, server := range servers {
			list = append(list, rpc.Instance{
				ID: exchange + "/" + server, BootID: "boot", Addr: "recorder", State: rpc.StateActive,
				Exchange: exchange, Topic: topic, Server: server,
			})
		}
	}
	if err := registry.Publish(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func (r *recorder) take(ctx context.Context, s sent) error {
	if deadline, ok := ctx.Deadline(); ok {
		s.left = time.Until(deadline)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, s)
	return r.refuse
}

// recorded returns the messages so far.
func (r *recorder) recorded() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

func (r *recorder) Call(ctx context.Context, m *pb.CallRequest) (*pb.CallResponse, error) {
	return r.response(), r.take(ctx, sent{Message: m.GetMessage(), kind: "call"})
}

func (r *recorder) response() *pb.CallResponse {
	return &pb.CallResponse{Result: payload.JSON(cmp.Or(r.result, "null"))}
}

// MonitoredCall answers at once, so no heartbeat is due.
func (r *recorder) MonitoredCall(m *pb.MonitoredCallRequest, stream grpc.ServerStreamingServer[pb.MonitoredCallResponse]) error {
	asked := sent{Message: m.GetMessage(), kind: "monitored call", heartbeat: m.GetHeartbeatInterval().AsDuration()}
	if err := r.take(stream.Context(), asked); err != nil {
		return err
	}
	return stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: r.response()}})
}

func (r *recorder) Cast(ctx context.Context, m *pb.CastRequest) (*pb.CastResponse, error) {
	return &pb.CastResponse{}, r.take(ctx, sent{Message: m.GetMessage(), kind: "cast"})
}

func (r *recorder) Multicall(m *pb.MulticallRequest, stream grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	return r.take(stream.Context(), sent{Message: m.GetMessage(), kind: "multicall"})
}

// send sends a message of a kind.
func send(ctx context.Context, c *oslorpc.Client, kind, method string, args any) error {
	switch kind {
	case "call":
		_, err := oslorpc.Call[any](ctx, c, method, args)
		return err
	case "cast":
		return c.Cast(ctx, method, args)
	default:
		for _, err := range oslorpc.Multicall[any](ctx, c, method, args) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
