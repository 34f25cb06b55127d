package consul

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// newTransport has no proxy, since the agent is on this host or near, and keeps a connection for each watch. A lost host is found
// by the keepalive: queries that wait for changes have no short deadline. Connecting may take dialWithin.
func newTransport(dialWithin time.Duration) *http.Transport {
	dialer := &net.Dialer{
		Timeout:         dialWithin,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c, used: make(chan struct{})}, nil
		},
		TLSHandshakeTimeout: answerWithin,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
}

// conn reads nothing until something was written. To a connection too many, Consul sends its answer 429 before it is asked; if
// net/http reads that before it has sent the request, it takes it for garbage, and the reason is lost.
type conn struct {
	net.Conn

	once sync.Once
	used chan struct{}
}

func (c *conn) use() { c.once.Do(func() { close(c.used) }) }

func (c *conn) Read(p []byte) (int, error) {
	<-c.used
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	defer c.use()
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	defer c.use()
	return c.Conn.Close()
}
