package gateway_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// cable is a connection to an address that can be cut: existing connections end, and new ones are
// refused.
type cable struct {
	addr, to string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
	gone  sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	c := &cable{addr: "127.0.0.1:0", to: to}
	if err := c.mend(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cut()
		c.gone.Wait()
	})
	return c
}

// mend accepts connections again.
func (c *cable) mend() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", c.addr)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.l, c.addr = l, l.Addr().String()
	c.gone.Go(func() { c.accept(l) })
	return nil
}

func (c *cable) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", c.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, near, far)
		c.mu.Unlock()
		for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
			c.gone.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_ = pair[0].Close()
			})
		}
	}
}

// cut ends all connections.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.l.Close()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}
