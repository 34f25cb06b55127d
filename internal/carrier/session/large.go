package session

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
)

const (
	// largeBody is the size from which a message uses the separate connection for large messages,
	// in bytes. On a shared connection, small messages would wait behind the part of it that the
	// network has buffered, which can be megabytes.
	largeBody = 256 << 10
	// largePatience is how long a large message waits for that connection.
	largePatience = time.Second
)

// beside sends a message with its own RPC.
func (l *link) beside(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	if !l.isLarge(r) {
		return l.Link.Do(ctx, r)
	}
	way, ok := l.way(ctx)
	if !ok || way.Enter(ctx, 0) != nil {
		return l.Link.Do(ctx, r)
	}
	defer way.Release()
	return way.Do(ctx, r)
}

// isLarge reports whether a message should use the connection for large messages.
func (l *link) isLarge(r *carrier.Request) bool {
	n := len(r.Kwargs)
	if r.Typed != nil && r.Typed.Message != nil {
		n = proto.Size(r.Typed.Message)
	}
	return n >= largeBody && l.isKnown()
}

// way returns the connected link for large messages. If it returns false, large messages share the
// other connection.
func (l *link) way(ctx context.Context) (way grpccarrier.Link, ok bool) {
	c := l.carrier
	c.mu.Lock()
	if l.large == nil && l.holders > 0 && !c.closed {
		key := l.key
		key.Large = true
		l.large = c.Carrier.Get(key)
	}
	way, ok = l.large.(grpccarrier.Link)
	c.mu.Unlock()
	if !ok || way.Health() == carrier.Down {
		return way, false
	}
	if way.Health().Connected() {
		return way, true
	}
	ctx, cancel := context.WithTimeout(ctx, largePatience)
	defer cancel()
	return way, way.Connect(ctx) == nil
}
