package client

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
)

// Multicall has one server run a method, and calls each with every item of its result as it comes.
// Each gets a function that reads the item. If it returns false, the method is canceled. An error
// is the error of each, or says why an item did not come. Multicall returns nil after the last
// item.
func (c *Client) Multicall(ctx context.Context, method string, args any, each func(read Read) (more bool, err error)) error {
	m := &multicall{operation: c.dynamic(&multicalls, method, args, nil), each: each}
	if err := m.run(ctx, m); err != nil && !m.broken {
		return err
	}
	return nil
}

// Read stores an item in the value that item points to.
type Read func(item any) error

// multicall is a multicall in progress.
type multicall struct {
	*operation

	each   func(Read) (bool, error)
	broken bool // no more items are wanted

	late   *time.Timer // bounds the wait for an item
	stream carrier.Stream
}

func (m *multicall) timeout() time.Duration {
	if s := &m.client.settings; s.HasTimeout {
		return s.Timeout
	}
	return DefaultCallTimeout
}

// deliver sends the message and has its items taken. The first item shows that a server took the
// message.
func (m *multicall) deliver(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.late = time.AfterFunc(m.timeout(), func() { cancel(tooLate("no item came within %v", m.timeout())) })
	defer m.late.Stop()
	if err := delivery.One(ctx, m.client.watched(), &m.message, m.send); err != nil {
		return err
	}
	defer m.stream.Close(nil)
	var item carrier.Reply
	read := func(dst any) error { return m.codec.decode(ctx, item, dst) }
	for {
		err := m.next(ctx, &item.Result)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return m.about(err, m.from)
		}
		more, err := m.each(read)
		if m.broken = err == nil && !more; m.broken || err != nil {
			return m.about(err, m.from)
		}
	}
}

func (m *multicall) send(ctx context.Context, a delivery.Attempt) (err error) {
	m.from = a.Entry
	m.stream, err = m.open(ctx, a)
	return err
}

// next receives the next item. The time that the consumer takes does not count.
func (m *multicall) next(ctx context.Context, item *string) error {
	m.late.Reset(m.timeout())
	defer m.late.Stop()
	err := m.stream.Receive(item)
	if errors.Is(err, io.EOF) {
		return err
	}
	return m.explain(ctx, err)
}
