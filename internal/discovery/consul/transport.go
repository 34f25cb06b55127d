package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// newTransport returns a transport without a proxy, since the agent is on this host or near. TCP
// keepalive detects a lost host, because queries that wait for changes have no short deadline.
// DialWithin bounds connecting. If connections is not 0, it is the maximum number of connections to
// each agent, which stay open, because Consul may not grant another one. With 0, the number is not
// bounded.
func newTransport(dialWithin time.Duration, connections int) *http.Transport {
	dialer := &net.Dialer{
		Timeout:         dialWithin,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c, used: make(chan struct{})}, nil
		},
		TLSHandshakeTimeout:    answerWithin,
		MaxConnsPerHost:        connections,
		MaxIdleConnsPerHost:    connections,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if connections == 0 {
		t.MaxIdleConnsPerHost, t.IdleConnTimeout = maxPolls+2, 10*time.Second
	}
	return t
}

// maxAnswer bounds how many bytes of an answer are read. A topic with ten thousand instances takes
// 20 MiB.
const maxAnswer = 64 << 20

var errTooLarge = errors.New("the answer is too large")

// bounded is a transport that ends answers of more than most bytes with an error, so that they
// cannot use up the memory.
type bounded struct {
	base http.RoundTripper
	most int
}

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.base.RoundTrip(request)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, b.most, b.most}
	}
	return answer, err
}

type boundedBody struct {
	io.ReadCloser

	left, most int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("%w: it is larger than %d MiB", errTooLarge, b.most>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// conn delays reads until the first write. If a host has too many connections, Consul answers 429
// before it gets a request. If net/http read that answer before it has sent the request, it would
// discard the answer, and the reason would be lost.
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
