package oslorpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// badPeer serves a program that answers every RPC in the same way and counts the RPCs. It returns
// the address.
func badPeer(t *testing.T, answer func(grpc.ServerStream) error) (addr string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if path, _ := grpc.MethodFromServerStream(stream); path != pb.RPCService_Session_FullMethodName { // which carries no message yet
			asked.Add(1)
		}
		return answer(stream)
	}))
	return listenAt(t, func(l net.Listener) { _ = s.Serve(l) }, s.Stop), asked
}

// detailed returns a status with an error detail.
func detailed(t *testing.T, code codes.Code, d *pb.ErrorDetail) error {
	t.Helper()
	st, err := status.New(code, d.GetMessage()).WithDetails(d)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// badCalls are the deliveries that work with only an address, typed ones included.
func badCalls() map[string]func(context.Context, *oslorpc.Client) error {
	calls := deliveries()
	for _, name := range []string{"fanout", "gather", "call of a method that fails", "empty multicall"} {
		delete(calls, name)
	}
	calls["typed call"] = func(ctx context.Context, c *oslorpc.Client) error {
		_, err := v1.NewInventoryServiceClient(c).CreateVolume(ctx, &v1.CreateVolumeRequest{})
		return err
	}
	calls["typed cast"] = func(ctx context.Context, c *oslorpc.Client) error {
		_, err := v1.NewInventoryServiceClient(c).ReportUsage(ctx, &v1.ReportUsageRequest{})
		return err
	}
	calls["typed client stream"] = func(ctx context.Context, c *oslorpc.Client) error {
		stream, err := v1.NewInventoryServiceClient(c).ImportVolumes(ctx)
		if err == nil {
			_ = stream.Send(&v1.ImportVolumesRequest{})
			_, err = stream.CloseAndRecv()
		}
		return err
	}
	calls["typed server stream"] = func(ctx context.Context, c *oslorpc.Client) error {
		stream, err := v1.NewInventoryServiceClient(c).WatchVolumes(ctx, &v1.WatchVolumesRequest{})
		for err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	return calls
}

// A peer that has answered has run the method, whatever its status says. The client sends nothing
// again.
func TestPeerThatAnswersAndThenDeniesIt(t *testing.T) {
	reply := func(stream grpc.ServerStream) {
		_ = stream.RecvMsg(&emptypb.Empty{})
		_ = stream.SendMsg(&emptypb.Empty{})
	}
	for what, answer := range map[string]func(grpc.ServerStream) error{
		"twice": func(stream grpc.ServerStream) error {
			reply(stream)
			reply(stream)
			return nil
		},
		"and is full": func(stream grpc.ServerStream) error {
			reply(stream)
			return detailed(t, codes.ResourceExhausted, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true})
		},
		"and knows no such method": func(stream grpc.ServerStream) error {
			reply(stream)
			return status.Error(codes.Unimplemented, "unknown service")
		},
		"that it failed, unstarted": func(stream grpc.ServerStream) error {
			return detailed(t, codes.Unknown, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_REMOTE, NotStarted: true})
		},
	} {
		for _, intercepted := range []bool{false, true} {
			addr, asked := badPeer(t, answer)
			var options []oslorpc.TransportOption
			if intercepted {
				options = append(options, oslorpc.WithDialOptions(grpc.WithUserAgent("test")))
			}
			transport, err := oslorpc.Open("static://agents="+addr, options...)
			must(t, err)
			t.Cleanup(func() { transport.Close() })
			c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(5*time.Second))
			for name, call := range badCalls() {
				if what == "and is full" && name == "monitored call" {
					continue // an empty message is a heartbeat, and says nothing yet
				}
				t.Run(what+" "+name, func(t *testing.T) {
					asked.Store(0)
					err := call(t.Context(), c)
					if oslorpc.SafeToRetry(err) || oslorpc.IsNotDelivered(err) {
						t.Errorf("got %v (%s, safe to retry: %v)", err, oslorpc.KindOf(err).Name(), oslorpc.SafeToRetry(err))
					}
					if n := asked.Load(); n != 1 {
						t.Errorf("it was sent %d times", n)
					}
				})
			}
		}
	}
}

// If a server refuses a message for a reason that this client does not know, the client tries
// another server.
func TestRefusalOfTheFuture(t *testing.T) {
	addr, asked := badPeer(t, func(grpc.ServerStream) error {
		return detailed(t, codes.Unavailable, &pb.ErrorDetail{Kind: 99, NotStarted: true, Message: "later"})
	})
	s := serve(t, "node1", newAgent("node1").endpoint("1.2"))
	i, _ := s.Instance()
	c := clientOf(t, "agents/new="+addr+",agents/node1="+i.Addr)
	for name, send := range deliveries() {
		if name == "fanout" || name == "gather" {
			continue
		}
		for range 4 { // by turns
			if err := send(t.Context(), c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if asked.Load() == 0 {
		t.Error("it was not asked")
	}
}

// A peer that ends an RPC with CANCELED does not look as if the caller had canceled or the
// transport had closed.
func TestPeerThatCancels(t *testing.T) {
	for code, words := range map[codes.Code]string{codes.Canceled: "canceled the RPC", codes.DeadlineExceeded: "as if its deadline had passed"} {
		addr, asked := badPeer(t, func(stream grpc.ServerStream) error {
			_ = stream.RecvMsg(&emptypb.Empty{})
			return status.Error(code, "made up")
		})
		c := clientOf(t, "agents="+addr)
		for name, call := range badCalls() {
			t.Run(code.String()+" "+name, func(t *testing.T) {
				asked.Store(0)
				err := call(t.Context(), c)
				if oslorpc.KindOf(err) == oslorpc.Canceled || oslorpc.SafeToRetry(err) {
					t.Errorf("got %v", err)
				}
				wantText(t, err, words, "may have run", addr)
				if strings.Contains(err.Error(), "transport was closed") || asked.Load() != 1 {
					t.Errorf("it was asked %d times: %v", asked.Load(), err)
				}
			})
		}
	}
}

// The same is true if the peer also says that the method did not start: the message can go to other
// servers.
func TestPeerThatCancelsUnstarted(t *testing.T) {
	addr, _ := badPeer(t, func(grpc.ServerStream) error {
		return detailed(t, codes.Canceled, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_CANCELED, NotStarted: true, Message: "m"})
	})
	c := clientOf(t, "agents="+addr).Prepare(oslorpc.WithRetry(0))
	for name, call := range badCalls() {
		err := call(t.Context(), c)
		if oslorpc.KindOf(err) != oslorpc.Refused || !oslorpc.SafeToRetry(err) || strings.Contains(err.Error(), "may have run") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// An error names the closing of the transport as the reason only if the transport was closed.
func TestTransportThatIsClosedMeanwhile(t *testing.T) {
	entered := make(chan struct{}, 1)
	addr, _ := badPeer(t, func(stream grpc.ServerStream) error {
		entered <- struct{}{}
		<-stream.Context().Done()
		return nil
	})
	// With sessions, the first RPC would be the session, and the message would wait.
	transport, err := oslorpc.Open("static://agents="+addr, oslorpc.WithCarrier("unary"))
	must(t, err)
	go func() {
		<-entered
		transport.Close()
	}()
	_, err = oslorpc.Call[any](t.Context(), transport.Client(oslorpc.Target{Topic: "agents"}), "m", nil)
	if oslorpc.SafeToRetry(err) || err == nil {
		t.Errorf("got %v", err)
	}
}

// The text of a peer is truncated before it reaches logs and programs.
func TestPeerThatTalksTooMuch(t *testing.T) {
	long := strings.Repeat("x", 1<<17)
	addr, _ := badPeer(t, func(grpc.ServerStream) error {
		return detailed(t, codes.ResourceExhausted, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true, Message: long})
	})
	var log bytes.Buffer
	transport, err := oslorpc.Open("static://agents="+addr, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	must(t, err)
	c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithLossyCasts(true), oslorpc.WithRetry(0))
	must(t, c.Cast(t.Context(), "note", nil))
	_, err = oslorpc.Call[any](t.Context(), c, "note", nil)
	wantKind(t, err, oslorpc.Refused, true)
	_, typed := v1.NewInventoryServiceClient(c).CreateVolume(t.Context(), &v1.CreateVolumeRequest{})
	wantKind(t, typed, oslorpc.Refused, true)
	must(t, transport.Close())
	if n := max(len(err.Error()), len(typed.Error()), len(status.Convert(typed).Message())); n > 8<<10 {
		t.Errorf("the error has %d bytes", n)
	}
	if n := log.Len(); n == 0 || n > 16<<10 {
		t.Errorf("the log has %d bytes", n)
	}
}

// The client returns the reply of a monitored call before the stream ends.
func TestMonitoredCallWhoseStreamStaysOpen(t *testing.T) {
	s := &stub{}
	s.monitored = func(m *pb.MonitoredCallRequest, stream monitoredStream) error {
		text := &pb.Payload{Encoding: &pb.Payload_Json{Json: `"done"`}}
		if err := stream.Send(&pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: &pb.CallResponse{Result: text}}}); err != nil {
			return err
		}
		return s.hang(m, stream)
	}
	c := s.start(t, monitor(time.Minute))
	began := time.Now()
	if got, err := oslorpc.Call[string](t.Context(), c, "m", nil); got != "done" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	<-s.ended
}
