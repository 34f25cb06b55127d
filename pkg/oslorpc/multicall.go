package oslorpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/route"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Multicall has one server run a method and yields its results as they come. Of a plain method it yields one.
//
// The sequence is lazy, sending the message when it is first ranged over, and can be used once: a second range yields an
// error and does not run the method again. Breaking out of the range cancels the method's context at the server, and a
// consumer that is slow holds the method back. A failure comes after the items that were made before it, with the zero T, and
// is the last.
//
// [WithTimeout], or [DefaultCallTimeout], bounds each wait for an item; the deadline of ctx bounds the whole.
func Multicall[T any](ctx context.Context, c *Client, method string, args any) iter.Seq2[T, error] {
	var used atomic.Bool
	return func(yield func(T, error) bool) {
		var zero T
		if used.Swap(true) {
			yield(zero, c.name(invalidUse("a multicall can be ranged over once; make another to run the method again"), method))
			return
		}
		s := stream{client: c, method: method}
		defer s.close()
		for {
			text, err := s.next(ctx, args)
			if errors.Is(err, io.EOF) {
				return
			}
			var item T
			if err == nil {
				err = delivery.At(c.settings.read(ctx, text, &item), s.entry)
			}
			if err != nil {
				yield(zero, c.name(err, method))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// stream is a multicall that is being ranged over.
type stream struct {
	client *Client
	method string

	ctx    context.Context //nolint:containedctx // It is the stream's own, and ends with the range, or with a cause when an item is late
	cancel context.CancelCauseFunc
	late   *time.Timer
	items  grpc.ServerStreamingClient[pb.MulticallResponse]
	seen   evidence
	entry  *route.Entry // the instance that has the message
	peer   *peer.Peer
}

// errLate is the cause when an item did not come in time.
var errLate = &Error{Kind: Timeout, Message: "no item came within the timeout"}

// next returns the next item, io.EOF after the last.
func (s *stream) next(ctx context.Context, args any) (string, error) {
	if s.items == nil {
		return s.open(ctx, args)
	}
	s.late.Reset(s.timeout())
	defer s.late.Stop()
	item, err := s.receive()
	return item, delivery.At(err, s.entry)
}

func (s *stream) timeout() time.Duration {
	if s.client.settings.hasTimeout {
		return s.client.settings.timeout
	}
	return DefaultCallTimeout
}

// open sends the message and returns the first item: only then is it known that the server took the message.
func (s *stream) open(ctx context.Context, args any) (first string, err error) {
	c := s.client
	if c.settings.target.Fanout {
		return "", &Error{Kind: InvalidTarget, NotStarted: true, Message: "a multicall cannot be used with fanout"}
	}
	m, err := c.message(ctx, s.method, args)
	if err != nil {
		return "", err
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.late = time.AfterFunc(s.timeout(), func() { s.cancel(errLate) })
	defer s.late.Stop()
	ended := false
	err = delivery.One(s.ctx, c.watched(), c.delivery(&m), func(ctx context.Context, a delivery.Attempt) error { //nolint:contextcheck // It is derived from ctx.
		first, err = s.start(ctx, &m, a)
		ended = errors.Is(err, io.EOF)
		if ended {
			return nil
		}
		return err
	})
	if ended {
		return "", io.EOF
	}
	return first, err
}

func (s *stream) start(ctx context.Context, m *outgoing, a delivery.Attempt) (string, error) {
	conn, err := connOf(a)
	if err != nil {
		return "", err
	}
	s.seen = evidence{contract: true, transport: m.transport} // the evidence of an earlier attempt says nothing about this one
	s.entry = a.Entry
	request := &pb.MulticallRequest{Message: m.at(a)}
	s.seen.request = request
	items, err := pb.NewRPCServiceClient(conn).Multicall(m.witnessed(ctx, &s.seen), request, grpc.Peer(&s.seen.opened))
	if err != nil {
		return "", s.explain(err)
	}
	s.items, s.seen.request = items, nil
	first, err := s.receive()
	if err == nil {
		// The connection must outlast the delivery, which holds it until this returns.
		s.peer = peerOf(a)
		s.peer.Acquire()
	}
	return first, err
}

func (s *stream) receive() (string, error) {
	response, err := s.items.Recv()
	if errors.Is(err, io.EOF) {
		return "", io.EOF
	}
	if err != nil {
		s.seen.headers = hasHeader(s.items)
		return "", s.explain(err)
	}
	s.seen.replied.Store(true)
	return resultText(response.GetItem())
}

// explain turns the error of the stream into one of ours; one that we caused ourselves has its cause as reason.
func (s *stream) explain(err error) error {
	if errors.Is(context.Cause(s.ctx), errLate) {
		late := *errLate
		late.Cause = err
		return &late
	}
	return s.client.transport.config.errors.Rebuild(s.seen.error(s.ctx, err))
}

func (s *stream) close() {
	if s.cancel == nil {
		return
	}
	s.cancel(nil)
	if s.items != nil {
		// gRPC ends the stream's resources when its end is received.
		for err := error(nil); err == nil; {
			_, err = s.items.Recv()
		}
	}
	if s.peer != nil {
		s.peer.Release()
	}
}
