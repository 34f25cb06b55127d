package oslorpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/delivery"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// minHeartbeat is the shortest interval of heartbeats that servers keep.
const minHeartbeat = 10 * time.Millisecond

// WithCallMonitorTimeout makes calls fail with the kind [MonitorTimeout] when the server gives no sign of life for d: it is asked for
// a heartbeat every d/2, at most every 10 ms, while the message waits in its queue and runs. So a call may have a long
// [WithTimeout], and still end soon when its server hangs; heartbeats never extend that timeout, which gives the kind [Timeout].
// The method's context is canceled. A call that no server takes for d fails as well, with the kind that says why, such as [NoInstance].
// 0 or less, the default, is no monitoring. It is of no use below some 50 ms, where a busy machine looks dead; it holds for [Call]
// and [Gather], and other operations ignore it.
func WithCallMonitorTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *settings) { s.monitor = d })
}

// ask has one instance run the message and returns its result.
func (m *outgoing) ask(ctx context.Context, a delivery.Attempt) (*pb.Payload, error) {
	if m.monitor <= 0 {
		return m.call(ctx, a)
	}
	return m.monitoredCall(ctx, a)
}

// errQuiet is the cause when a monitored call is canceled for the lack of heartbeats.
var errQuiet = errors.New("no heartbeat came in time")

// monitoredCall is call with heartbeats. Canceling its context, which it always does in the end, ends the stream.
func (m *outgoing) monitoredCall(ctx context.Context, a delivery.Attempt) (*pb.Payload, error) {
	conn, err := connOf(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := evidence{contract: true, transport: m.transport, request: m.request(a)}
	stream, err := conn.NewStream(m.witnessed(ctx, &seen), &grpc.StreamDesc{ServerStreams: true}, pb.RPCService_MonitoredCall_FullMethodName,
		grpc.StaticMethod(), grpc.Peer(&seen.opened))
	if err != nil {
		return nil, seen.error(ctx, err)
	}
	// Not before the stream is open: until then nothing was sent, and another instance may still be tried. And not after the
	// request is sent: that waits for a server that hangs, if the request is large.
	quiet := time.AfterFunc(m.monitor, func() { cancel(errQuiet) })
	defer quiet.Stop()
	result, err := m.converse(stream, seen.request, func() { quiet.Reset(m.monitor) }, func() { quiet.Reset(endTime) })
	if err == nil {
		return result, nil
	}
	seen.headers = hasHeader(stream)
	if failure := m.errors.Rebuild(seen.error(ctx, err)); KindOf(failure) != Canceled || !errors.Is(context.Cause(ctx), errQuiet) {
		return nil, failure
	}
	return nil, &Error{Kind: MonitorTimeout, Cause: errors.Join(errQuiet, err), Message: fmt.Sprintf(
		"neither a heartbeat nor the reply came for %v; the method may have run", m.monitor)}
}

func (m *outgoing) request(a delivery.Attempt) *pb.MonitoredCallRequest {
	return &pb.MonitoredCallRequest{Message: m.at(a), HeartbeatInterval: durationpb.New(max(m.monitor/2, minHeartbeat))}
}

// endTime is how long the end of a monitored call is waited for after the reply. Servers send both
// together.
const endTime = 50 * time.Millisecond

// converse sends the request and receives until the reply; it calls alive at each heartbeat, and
// replied at the reply.
func (m *outgoing) converse(stream grpc.ClientStream, request proto.Message, alive, replied func()) (*pb.Payload, error) {
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) { // EOF: the stream has ended, and receiving tells why
		return nil, err
	}
	_ = stream.CloseSend() // gRPC says that it never fails
	for {
		response := &pb.MonitoredCallResponse{}
		err := stream.RecvMsg(response)
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the server ended the call without a reply")
		case err != nil:
			return nil, err
		case response.GetResponse() != nil:
			// Nothing follows but the end, which arrives with the reply; to receive it spares the server a cancellation.
			replied()
			_ = stream.RecvMsg(&pb.MonitoredCallResponse{})
			return response.GetResponse().GetResult(), nil
		}
		alive()
	}
}
