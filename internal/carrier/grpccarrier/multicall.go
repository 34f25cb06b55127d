package grpccarrier

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// multicall is a dynamic message whose items arrive one by one.
type multicall struct {
	stream

	envelope envelope
	request  pb.MulticallRequest
	response wire.Response // used again for each item
	options  [3]grpc.CallOption
	first    *string // the first item, until it is received
}

// multicall sends the message and waits for the first item, which shows that the server accepted
// the message.
func (l Link) multicall(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) (carrier.Stream, error) {
	m := &multicall{}
	m.begin(ctx, l)
	m.request.Message = m.envelope.fill(r)
	if err := m.open(conn, r); err != nil { //nolint:contextcheck // It has the context of the stream.
		m.finish(err)
		tellPeer(r, &m.evidence.opened)
		return nil, err
	}
	first, err := m.receive()
	switch {
	case errors.Is(err, io.EOF):
		m.finish(err)
		tellPeer(r, &m.evidence.opened)
		return m, nil
	case err != nil:
		m.finish(err)
		tellPeer(r, &m.evidence.opened)
		return nil, err
	}
	m.first = &first
	m.hold()
	tellPeerOf(r, m.rpc.Context) //nolint:contextcheck // It has the context of the stream.
	return m, nil
}

// open sends the message.
func (m *multicall) open(conn *grpc.ClientConn, r *carrier.Request) error {
	e := &m.evidence
	e.contract, e.request = true, &m.request
	var err error
	m.rpc, err = conn.NewStream(e.witnessed(m.link.carrier.headed(m.ctx, r)), serverStream,
		pb.RPCService_Multicall_FullMethodName, m.link.carrier.options(m.options[:0], e)...)
	if err == nil {
		err = m.rpc.SendMsg(&m.request)
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the stream has ended, and receiving tells why
		return e.error(m.ctx, err)
	}
	e.request = nil
	_ = m.rpc.CloseSend() // gRPC says that it never fails
	if r.Sent != nil {
		r.Sent()
	}
	return nil
}

// Receive implements [carrier.Stream].
func (m *multicall) Receive(item any) error {
	m.receiving.Lock()
	defer m.receiving.Unlock()
	to := item.(*string)
	if m.first != nil {
		*to, m.first = *m.first, nil
		return nil
	}
	if ended := m.end(); ended != nil {
		return ended
	}
	text, err := m.receive()
	if err == nil {
		*to = text
		return nil
	}
	m.finish(err)
	return m.end()
}

// receive returns the next item, io.EOF after the last one.
func (m *multicall) receive() (string, error) {
	var full *pb.MulticallResponse // an interceptor sees this, and may keep it
	response := proto.Message(&m.response)
	if m.link.carrier.intercepted {
		full = &pb.MulticallResponse{}
		response = full
	}
	err := m.evidence.receive(m.rpc, response)
	switch {
	case errors.Is(err, io.EOF):
		return "", io.EOF
	case err != nil:
		m.evidence.headers = hasHeader(m.rpc)
		return "", m.evidence.error(m.ctx, err)
	}
	m.evidence.replied.Store(true)
	switch {
	case full != nil:
		return resultText(full.GetItem())
	case m.response.Full != nil:
		return resultText(m.response.Full.GetResult())
	default:
		return m.response.Result, nil
	}
}

// Send implements [carrier.Stream].
func (*multicall) Send(proto.Message) error {
	return &rpc.Error{Kind: rpc.Invalid, Message: "a multicall sends one message"}
}

// CloseSend implements [carrier.Stream].
func (*multicall) CloseSend() error { return nil }

// Header implements [carrier.Stream].
func (m *multicall) Header() (rpc.Metadata, error) {
	md, err := m.rpc.Header()
	if err != nil {
		return nil, m.evidence.error(m.ctx, err)
	}
	return rpc.Metadata(md), nil
}
