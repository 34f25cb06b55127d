package attached

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/tunnel"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Stream is the stream of a process.
type Stream = grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]

// process is a process that is attached or attaching.
type process struct {
	servers *Servers
	stream  Stream
	peer    rpc.Peer
	tunnel  *tunnel.Conn
	allow   func(*rpc.Instance) error
	// publications has room for one publication that waits while another is handled.
	publications chan *pb.AttachPublish
	// ended is closed when the gateway has sent its last data through the tunnel. Aborted is closed
	// when the tunnel is ended by force.
	ended, aborted chan struct{}
	aborting       sync.Once
	taken          chan struct{} // closed when Dial has returned the connection

	sending sync.Mutex // guards sends

	// The lock of the servers guards the following fields.
	bootID    string // empty until it has published something
	instances []rpc.Instance
	isTaken   bool
	link      carrier.Link
}

// Attach answers the RPC of a process that attaches its servers. It returns when the stream has
// ended. Allow returns an error for a server that the process may not attach.
func (s *Servers) Attach(stream Stream, allow func(*rpc.Instance) error) error {
	peer, _ := inbound.SenderOf(stream.Context()).Peer()
	return s.attach(stream, peer, allow)
}

// attach is Attach for a process whose identity is known.
func (s *Servers) attach(stream Stream, peer rpc.Peer, allow func(*rpc.Instance) error) error {
	p := &process{
		servers: s, stream: stream, peer: peer, allow: allow, publications: make(chan *pb.AttachPublish, 1),
		ended: make(chan struct{}), aborted: make(chan struct{}), taken: make(chan struct{}),
	}
	if err := s.enter(p); err != nil {
		return rpcstatus.Encode(err, nil).Err()
	}
	defer s.leave(p)
	closing := s.closing
	for {
		select {
		case m := <-p.publications:
			p.answer(s.publish(stream.Context(), p, m))
		case <-closing:
			closing = nil
			p.send(&pb.AttachResponse{Frame: &pb.AttachResponse_Closing{Closing: &pb.AttachClosing{}}})
		case <-p.ended:
			return p.end()
		case <-p.aborted:
			return rpcstatus.Encode(&rpc.Error{Kind: rpc.Timeout, Message: "the process did not read the last data from the gateway in time"}, nil).Err()
		}
	}
}

// end returns the status of a stream whose connection has ended.
func (p *process) end() error {
	if err := p.tunnel.Err(); err != nil {
		if e, ok := errors.AsType[*rpc.Error](err); ok {
			return rpcstatus.Encode(e, nil).Err()
		}
	}
	return nil
}

// answer sends the result of a publication.
func (p *process) answer(err error) {
	m := &pb.AttachPublished{BootId: p.servers.gatewayID()}
	if err != nil {
		m.Status, _ = proto.Marshal(rpcstatus.Encode(err, nil).Proto()) // it cannot fail: Encode makes valid UTF-8
	}
	p.send(&pb.AttachResponse{Frame: &pb.AttachResponse_Published{Published: m}})
}

func (p *process) send(m *pb.AttachResponse) {
	p.sending.Lock()
	defer p.sending.Unlock()
	_ = p.stream.Send(m) // if the stream has ended, Receive returns the error
}

// Send implements [tunnel.Stream].
func (p *process) Send(frame []byte) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	return p.stream.Send(&pb.AttachResponse{Frame: &pb.AttachResponse_Data{Data: frame}})
}

// maxFrame is the maximum size of a frame, in bytes.
const maxFrame = 64 << 10

// Receive implements [tunnel.Stream].
func (p *process) Receive() ([]byte, error) {
	for {
		m, err := p.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case err != nil:
			return nil, err
		}
		switch frame := m.GetFrame().(type) {
		case *pb.AttachRequest_Data:
			if len(frame.Data) > maxFrame {
				return nil, invalid("a frame has %d bytes: it may have %d", len(frame.Data), maxFrame)
			}
			if len(frame.Data) > 0 {
				return frame.Data, nil
			}
		case *pb.AttachRequest_Publish:
			select {
			case p.publications <- frame.Publish:
			case <-p.ended:
				return nil, io.EOF
			case <-p.aborted:
				return nil, io.ErrClosedPipe
			}
		}
	}
}

// End implements [tunnel.Stream].
func (p *process) End() { close(p.ended) }

// Abort implements [tunnel.Stream].
func (p *process) Abort() { p.aborting.Do(func() { close(p.aborted) }) }

// take marks the connection as returned by Dial. It returns false if it was returned before.
func (p *process) take() bool {
	p.servers.mu.Lock()
	defer p.servers.mu.Unlock()
	if p.isTaken {
		return false
	}
	p.isTaken = true
	close(p.taken)
	return true
}

// connectTime is how long a process may take, once it has attached, to accept the gateway's gRPC
// connection.
const connectTime = 5 * time.Second

// connect connects the gateway's clients to the process through its stream. It returns when the
// gRPC connection is ready.
func (p *process) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	p.servers.mu.Lock()
	c, key := p.servers.carrier, carrier.KeyOf(p.instances[0])
	link := c.Get(key)
	p.link = link
	p.servers.mu.Unlock()
	for {
		err := link.Connect(ctx)
		if err == nil && isClosed(p.taken) {
			return nil
		}
		if ctx.Err() != nil || isClosed(p.ended) {
			kind, text := link.Explain(p.instances[0].Server, err)
			return &rpc.Error{Kind: kind, NotStarted: true, Message: text}
		}
		// The link still has the connection of an earlier stream, which was replaced, or it waits
		// between attempts.
		select {
		case <-ctx.Done():
		case <-p.ended:
		case <-time.After(pauseTime):
		}
	}
}

// pauseTime is how long to wait for the link to notice that its connection was replaced.
const pauseTime = 10 * time.Millisecond

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
