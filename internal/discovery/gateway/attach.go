package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/tunnel"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// attachment is a stream to one gateway, and the connection that it carries.
type attachment struct {
	addr   string
	conn   Conn
	stream grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]
	cancel context.CancelFunc
	tunnel *tunnel.Conn
	// closing is closed when the gateway announces that it will stop soon.
	closing chan struct{}
	// gone is closed when the attachment has ended.
	gone chan struct{}

	sending sync.Mutex // guards sends, and asked
	asked   int        // how many publications were sent

	answers chan answer // has room for one

	// The following fields belong to the goroutine that receives.
	answered int
	told     bool // closing is closed
}

// answer is a gateway's answer to a publication.
type answer struct {
	number int
	status []byte
}

// attach opens an attachment to a gateway, which ends with life at the latest. Ctx bounds only the
// opening. L gets the connection.
func attach(ctx, life context.Context, addr string, dial Dial, l *tunnel.Listener) (*attachment, error) {
	conn, err := dial(addr)
	if err != nil {
		return nil, err
	}
	a := &attachment{addr: addr, conn: conn, closing: make(chan struct{}), gone: make(chan struct{}), answers: make(chan answer, 1)}
	life, a.cancel = context.WithCancel(life)
	stop := context.AfterFunc(ctx, a.cancel)
	defer stop()
	a.stream, err = pb.NewGatewayServiceClient(conn).Attach(life)
	if err != nil {
		a.cancel()
		_ = conn.Close() // its only error is that it is already closed
		return nil, refused(ctx, conn, addr, err)
	}
	a.tunnel = tunnel.New(a, "attached", addr)
	go a.serve(l)
	return a, nil
}

// serve passes the connection to the listener of the servers, and returns when the connection ends.
func (a *attachment) serve(l *tunnel.Listener) {
	l.Offer(a.tunnel)
	<-a.tunnel.Done()
	a.cancel()
	_ = a.conn.Close() // its only error is that it is already closed
	close(a.gone)
}

// end ends the attachment at once.
func (a *attachment) end() {
	a.cancel()
	<-a.gone
}

// errGone is the error of a publication if the attachment ended without a reason.
var errGone = errors.New("the attachment ended")

// publish sends the gateway the list of instances, and returns when the gateway has accepted it.
// Only one goroutine at a time may call it.
func (a *attachment) publish(ctx context.Context, list []rpc.Instance) error {
	m := &pb.AttachPublish{}
	for i := range list {
		m.Instances = append(m.Instances, Encode(&list[i]))
	}
	a.sending.Lock()
	a.asked++
	number := a.asked
	err := a.stream.Send(&pb.AttachRequest{Frame: &pb.AttachRequest_Publish{Publish: m}})
	a.sending.Unlock()
	for err == nil {
		select {
		case answered := <-a.answers:
			if answered.number == number {
				return a.verdict(ctx, answered.status)
			}
		case <-a.gone:
			err = errGone
		case <-ctx.Done():
			return a.late(ctx)
		}
	}
	<-a.gone
	if why := a.tunnel.Err(); why != nil {
		return refused(ctx, a.conn, a.addr, why)
	}
	return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: errGone, Message: fmt.Sprintf("the gateway at %s ended the attachment", a.addr)}
}

func (a *attachment) late(ctx context.Context) error {
	kind := rpc.Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = rpc.Canceled
	}
	return &rpc.Error{Kind: kind, NotStarted: true, Cause: ctx.Err(), Message: cmp.Or(
		a.conn.Why("the gateway"), fmt.Sprintf("the gateway at %s did not answer in time", a.addr))}
}

// verdict decodes a gateway's answer to a publication.
func (a *attachment) verdict(ctx context.Context, encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	st := &spb.Status{}
	if err := proto.Unmarshal(encoded, st); err != nil || st.GetCode() == int32(codes.OK) {
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Message: fmt.Sprintf("the gateway at %s: it sent a malformed answer; check that the address is a gateway's, and upgrade the gateway if it is older", a.addr)}
	}
	return refused(ctx, a.conn, a.addr, status.FromProto(st).Err())
}

// refused returns the error for a gateway that did not accept the servers because of err.
func refused(ctx context.Context, conn Conn, addr string, err error) error {
	if broken, ok := errors.AsType[*net.OpError](err); ok {
		err = broken.Err
	}
	if status.Code(err) == codes.Unimplemented {
		return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: err, Message: fmt.Sprintf(
			"the gateway at %s accepts no attached servers, or is none: start it with --attach", addr)}
	}
	return failed(ctx, conn, addr, err)
}

// Send implements [tunnel.Stream].
func (a *attachment) Send(frame []byte) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	return a.stream.Send(&pb.AttachRequest{Frame: &pb.AttachRequest_Data{Data: frame}})
}

// Receive implements [tunnel.Stream].
func (a *attachment) Receive() ([]byte, error) {
	for {
		m, err := a.stream.Recv()
		if err != nil {
			return nil, err
		}
		switch frame := m.GetFrame().(type) {
		case *pb.AttachResponse_Data:
			if len(frame.Data) > 0 {
				return frame.Data, nil
			}
		case *pb.AttachResponse_Published:
			a.answer(frame.Published)
		case *pb.AttachResponse_Closing:
			if !a.told {
				a.told = true
				close(a.closing)
			}
		}
	}
}

// answer passes an answer to the publication that waits for it. It replaces an answer that no
// publication has read.
func (a *attachment) answer(m *pb.AttachPublished) {
	a.answered++
	select {
	case <-a.answers:
	default:
	}
	select {
	case a.answers <- answer{a.answered, m.GetStatus()}:
	default: // impossible: only this goroutine sends to the channel
	}
}

// End implements [tunnel.Stream].
func (a *attachment) End() {
	a.sending.Lock()
	defer a.sending.Unlock()
	_ = a.stream.CloseSend() // it never fails
}

// Abort implements [tunnel.Stream].
func (a *attachment) Abort() { a.cancel() }
