package grpccarrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// minHeartbeat is the minimum heartbeat interval that servers support.
	minHeartbeat = 10 * time.Millisecond
	// endTime is how long to wait for the end of a monitored call after the reply. Servers send
	// both together.
	endTime = 50 * time.Millisecond
)

// errQuiet is the cause with which a monitored call is canceled when no heartbeat came.
var errQuiet = errors.New("no heartbeat came in time")

// serverStream describes a stream on which only the server sends several messages.
var serverStream = &grpc.StreamDesc{ServerStreams: true}

// monitored is a running call with heartbeats.
type monitored struct {
	envelope envelope
	request  pb.MonitoredCallRequest
	evidence evidence
	options  [3]grpc.CallOption
}

// monitoredCall is call with heartbeats. It always cancels its context at the end, which ends the
// stream.
func (l Link) monitoredCall(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) (carrier.Reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &monitored{evidence: evidence{carrier: l.carrier, contract: true}}
	m.request.Message = m.envelope.fill(r)
	m.request.HeartbeatInterval = durationpb.New(max(r.Silence/2, minHeartbeat))
	m.evidence.request = &m.request
	defer tellPeer(r, &m.evidence.opened)
	stream, err := conn.NewStream(m.evidence.witnessed(l.carrier.headed(ctx, r)), serverStream,
		pb.RPCService_MonitoredCall_FullMethodName, l.carrier.options(m.options[:0], &m.evidence)...)
	if err != nil {
		return carrier.Reply{}, m.evidence.error(ctx, err)
	}
	// The timer starts after the stream was opened, because before that nothing was sent, and
	// another instance may still be tried. It starts before the request is sent, because sending a
	// large request to a server that hangs blocks.
	quiet := time.AfterFunc(r.Silence, func() { cancel(errQuiet) })
	defer quiet.Stop()
	result, err := m.converse(stream, func() { quiet.Reset(r.Silence) }, func() { quiet.Reset(endTime) })
	if err != nil {
		m.evidence.headers = hasHeader(stream)
		return carrier.Reply{}, m.failed(ctx, err, r.Silence)
	}
	text, err := resultText(result)
	return carrier.Reply{Result: text}, err
}

// failed converts the error of a monitored call.
func (m *monitored) failed(ctx context.Context, err error, silence time.Duration) error {
	ours := m.evidence.error(ctx, err)
	if ours.Kind != rpc.Canceled || !errors.Is(context.Cause(ctx), errQuiet) {
		return ours
	}
	return &rpc.Error{Kind: rpc.MonitorTimeout, Cause: errors.Join(errQuiet, err), Message: fmt.Sprintf(
		"neither a heartbeat nor the reply came for %v; the method may have run", silence)}
}

// converse sends the request and receives until the reply. It calls alive at each heartbeat, and
// replied at the reply.
func (m *monitored) converse(stream grpc.ClientStream, alive, replied func()) (*pb.Payload, error) {
	if err := stream.SendMsg(&m.request); err != nil && !errors.Is(err, io.EOF) { // EOF: the stream has ended, and receiving tells why
		return nil, err
	}
	_ = stream.CloseSend() // gRPC says that it never fails
	for {
		response := &pb.MonitoredCallResponse{}
		err := m.evidence.receive(stream, response)
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the server ended the call without a reply")
		case err != nil:
			return nil, err
		case response.GetResponse() != nil:
			// Only the end of the stream follows, which arrives with the reply. If we receive it,
			// gRPC need not send a cancellation to the server.
			replied()
			_ = stream.RecvMsg(&pb.MonitoredCallResponse{})
			return response.GetResponse().GetResult(), nil
		}
		alive()
	}
}
