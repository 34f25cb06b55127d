package memcarrier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Carrier has the links of one process.
type Carrier struct {
	network *Network
	config  carriertest.Config

	mu    sync.Mutex
	links map[carrier.Key]*link
	ready chan struct{}
}

func newCarrier(n *Network, c carriertest.Config) *Carrier {
	return &Carrier{network: n, config: c, links: map[carrier.Key]*link{}, ready: make(chan struct{})}
}

// Get implements [carrier.Carrier].
func (c *Carrier) Get(key carrier.Key) carrier.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(key)
}

func (c *Carrier) get(key carrier.Key) *link {
	l := c.links[key]
	if l == nil {
		l = &link{carrier: c, key: key, refs: 1, freed: make(chan struct{}), closed: make(chan struct{})}
		c.links[key] = l
	}
	l.holders++
	return l
}

// Put implements [carrier.Carrier].
func (c *Carrier) Put(given carrier.Link) {
	l := given.(*link)
	c.mu.Lock()
	l.holders--
	last := l.holders == 0
	if last && c.links[l.key] == l {
		delete(c.links, l.key)
	}
	c.mu.Unlock()
	if last {
		l.Release() // the hold of the carrier
	}
}

// Renew implements [carrier.Carrier].
func (c *Carrier) Renew(old carrier.Link) carrier.Link {
	l := old.(*link)
	c.mu.Lock()
	if c.links[l.key] == l {
		delete(c.links, l.key)
	}
	renewed := c.get(l.key)
	c.mu.Unlock()
	c.Put(old)
	return renewed
}

// BecameReady implements [carrier.Carrier].
func (c *Carrier) BecameReady() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

func (c *Carrier) tellReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ready)
	c.ready = make(chan struct{})
}

// Check implements [carrier.Carrier].
func (c *Carrier) Check(r *carrier.Request) error {
	size, headers := len(r.Kwargs)+len(r.Context), 0
	if r.Typed != nil {
		size, headers = proto.Size(r.Typed.Message), len(r.Context)
	}
	for name, values := range r.Metadata {
		for _, v := range values {
			headers += len(name) + len(v)
		}
	}
	switch {
	case c.config.MaxSize > 0 && size > c.config.MaxSize:
		return tooLarge("the request has %d bytes, and the limit is %d", size, c.config.MaxSize)
	case c.config.MaxHeader > 0 && headers > c.config.MaxHeader:
		return tooLarge("the metadata and the request context take %d bytes, and the limit is %d", headers, c.config.MaxHeader)
	default:
		return nil
	}
}

func tooLarge(format string, args ...any) error {
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(format, args...)}
}

// Close implements [carrier.Carrier].
func (c *Carrier) Close() {
	c.mu.Lock()
	links := c.links
	c.links = map[carrier.Key]*link{}
	c.mu.Unlock()
	for _, l := range links {
		l.close()
	}
}

// link is the way to one process.
type link struct {
	carrier *Carrier
	key     carrier.Key
	holders int // guarded by the lock of the carrier

	mu     sync.Mutex
	conn   *conn // nil until it was connected
	failed error // of the last attempt to connect
	refs   int64 // the hold of the carrier, and the places that are taken
	freed  chan struct{}
	closed chan struct{}
}

var (
	errAbsent = errors.New("connection refused")
	errClosed = net.ErrClosed
)

// Health implements [carrier.Link].
func (l *link) Health() carrier.Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case isClosed(l.closed), l.conn == nil && l.failed != nil:
		return carrier.Down
	case l.conn == nil || l.conn.isBroken():
		return carrier.Idle
	case !isClosed(l.carrier.network.passes(l.conn)):
		return carrier.Silent
	case l.refs-1 >= l.capacity():
		return carrier.Full
	default:
		return carrier.Ready
	}
}

// Outstanding implements [carrier.Link].
func (l *link) Outstanding() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refs - 1
}

// Capacity implements [carrier.Link].
func (l *link) Capacity() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.capacity()
}

func (l *link) capacity() int64 {
	if l.conn == nil || l.conn.host.Capacity == 0 {
		return math.MaxInt64
	}
	return int64(l.conn.host.Capacity)
}

// Absent implements [carrier.Link].
func (l *link) Absent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Is(l.failed, errAbsent)
}

// Explain implements [carrier.Link].
func (l *link) Explain(server string, err error) string {
	return fmt.Sprintf("server %s at %s cannot be reached: %v", server, l.key.Addr, err)
}

// Connect implements [carrier.Link].
func (l *link) Connect(ctx context.Context) error {
	for {
		found, err := l.connect()
		if found == nil {
			return err
		}
		select {
		case <-found:
		case <-l.closed:
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect connects, unless the link is connected. If the process is lost, it returns what to wait for.
func (l *link) connect() (found <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isClosed(l.closed) {
		return nil, errClosed
	}
	if l.conn != nil && !l.conn.isBroken() {
		if passes := l.carrier.network.passes(l.conn); !isClosed(passes) {
			return passes, nil
		}
		return nil, nil
	}
	l.conn, found, l.failed = l.carrier.network.connect(l.key.Addr)
	if l.conn != nil {
		l.carrier.tellReady()
	}
	return found, l.failed
}

// Enter implements [carrier.Link].
func (l *link) Enter(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		l.mu.Lock()
		freed := l.freed
		switch {
		case l.refs == 0 || isClosed(l.closed):
			l.mu.Unlock()
			return errClosed
		case l.refs-1 < l.capacity():
			l.refs++
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-freed:
		case <-timer.C:
			return carrier.ErrFull
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold takes a place for a stream, beside the place of the message that opened it.
func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs++
}

// Release implements [carrier.Link].
func (l *link) Release() {
	l.mu.Lock()
	l.refs--
	last := l.refs == 0
	close(l.freed)
	l.freed = make(chan struct{})
	l.mu.Unlock()
	if last {
		l.close()
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isClosed(l.closed) {
		close(l.closed)
	}
}

// Ping implements [carrier.Link].
func (l *link) Ping(ctx context.Context, instanceID string) error {
	c, err := l.sendable(ctx)
	if err == nil {
		err = c.host.Intake.Ping(ctx, instanceID, origin{})
	}
	return arrived(err)
}

// Info implements [carrier.Link]. It says no more than which servers there are.
func (l *link) Info(ctx context.Context, topic string, _ bool) (*rpc.Info, error) {
	c, err := l.sendable(ctx)
	if err != nil {
		return nil, err
	}
	info := &rpc.Info{BootID: c.host.Intake.BootID()}
	for _, s := range c.host.Intake.Servers() {
		if s.Instance.Topic == topic {
			info.Servers = append(info.Servers, rpc.ServerInfo{InstanceID: s.Instance.ID, Topic: topic, Server: s.Instance.Server})
		}
	}
	return info, nil
}

// sendable returns the connection to send on, which it makes if there is none.
func (l *link) sendable(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, unsent(ctx)
	}
	_, err := l.connect()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.conn == nil {
		err = errors.New("the process does not answer")
	}
	switch {
	case errors.Is(err, errClosed):
		return nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the transport was closed before it was sent"}
	case err != nil:
		return nil, &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: err.Error()}
	default:
		return l.conn, nil
	}
}
