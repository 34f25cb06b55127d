package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/tunnel"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Conn is a connection to a gateway.
type Conn interface {
	grpc.ClientConnInterface
	Close() error
	// Why returns a sentence that begins with who and says why the gateway cannot be reached. It
	// returns an empty string if that is not known.
	Why(who string) string
}

// Dial returns a connection to a gateway. It need not connect yet.
type Dial func(addr string) (Conn, error)

const (
	// attachTime bounds one attempt to attach to one gateway.
	attachTime = 5 * time.Second
	// minPause and maxPause bound the pauses between rounds of attempts at all gateways.
	minPause, maxPause = 200 * time.Millisecond, 3 * time.Second
)

// publisher publishes servers of a process to which others cannot connect. It keeps the process
// attached to one of the gateways. It is safe for concurrent use.
type publisher struct {
	addrs []string
	dial  Dial
	log   *slog.Logger

	// life ends with Close.
	life    context.Context //nolint:containedctx // It is the publisher's own.
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	lapsed  func(reason string)
	current *site // of the last Attach; nil before the first
}

func newPublisher(addrs []string, dial Dial, log *slog.Logger) *publisher {
	p := &publisher{addrs: addrs, dial: dial, log: log, lapsed: func(string) {}}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Lapses implements [registry.Lapser].
func (p *publisher) Lapses(notify func(reason string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lapsed = notify
}

// Attach implements [discovery.Attacher].
func (p *publisher) Attach() (l net.Listener, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &site{publisher: p, listener: tunnel.Listen(attachedAddr), wake: make(chan struct{}, 1), changed: make(chan struct{})}
	p.current = s
	return s.listener, attachedAddr
}

// attachedAddr is the address that attached servers publish, since they have no address of their
// own.
const attachedAddr = "attached"

// Publish implements [registry.Registry].
func (p *publisher) Publish(ctx context.Context, list []rpc.Instance) error {
	p.mu.Lock()
	s := p.current
	p.mu.Unlock()
	switch {
	case p.life.Err() != nil:
		return failure.Invalid("Publish on a registry that is closed")
	case s == nil && len(list) == 0:
		return nil
	case s == nil:
		return failure.Invalid("Publish without Attach: a gateway reaches the servers only through the listener that Attach returns")
	default:
		return s.publish(ctx, list)
	}
}

// close withdraws the published servers, unless ctx ends first, and ends all attachments.
func (p *publisher) close(ctx context.Context) error {
	err := p.Publish(ctx, nil)
	p.end()
	p.running.Wait()
	return err
}

// site publishes the servers of one listener.
type site struct {
	*publisher

	listener *tunnel.Listener
	wake     chan struct{} // has one element when wanted has changed

	mu      sync.Mutex // guards what follows
	started bool
	wanted  []rpc.Instance
	// number counts the changes of wanted. A gateway has accepted the changes up to taken. The
	// changes up to failed were refused by the gateway, or could be sent to none.
	number, taken, failed uint64
	failure               error
	changed               chan struct{} // closed when taken or failed grows

	// The following fields belong to keep.
	at    *attachment
	has   uint64 // the number of the change that the gateway has
	was   bool   // it was attached before
	first int    // the gateway to try first
}

// publish returns when a gateway has accepted the list.
func (s *site) publish(ctx context.Context, list []rpc.Instance) error {
	number, before := s.want(list)
	for {
		err, over, changed := s.outcome(number)
		if over {
			if err != nil {
				s.restore(number, before)
			}
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.restore(number, before)
			return unpublished(ctx)
		}
	}
}

func unpublished(ctx context.Context) error {
	kind := rpc.Timeout
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = rpc.Canceled
	}
	return &rpc.Error{Kind: kind, NotStarted: true, Cause: ctx.Err(), Message: "no gateway accepted the servers in time"}
}

// want sets the wanted list, and returns its number and the previous list.
func (s *site) want(list []rpc.Instance) (number uint64, before []rpc.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.wanted
	s.wanted = list
	s.number++
	if !s.started {
		s.started = true
		s.running.Go(s.keep)
	}
	s.wakeUp()
	return s.number, before
}

// restore restores the previous list after a publication failed, unless the list has changed since.
// It never undoes the withdrawal of all servers: if no gateway accepts that now, the end of the
// attachment has the same effect.
func (s *site) restore(number uint64, before []rpc.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == number && len(s.wanted) > 0 {
		s.wanted = before
		s.number++
		s.wakeUp()
	}
}

func (s *site) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// outcome returns the result of a publication. Over is false if there is no result yet.
func (s *site) outcome(number uint64) (err error, over bool, changed <-chan struct{}) { //nolint:staticcheck // The error is the outcome.
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case number <= s.taken:
		return nil, true, nil
	case number <= s.failed:
		return s.failure, true, nil
	default:
		return nil, false, s.changed
	}
}

// now returns the wanted list and its number.
func (s *site) now() (list []rpc.Instance, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted, s.number
}

// tell records the result of all changes up to number, and wakes the callers of publish.
func (s *site) tell(number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.taken = max(s.taken, number)
	} else {
		s.failed, s.failure = max(s.failed, number), err
	}
	close(s.changed)
	s.changed = make(chan struct{})
}
