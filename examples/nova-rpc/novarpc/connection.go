package novarpc

import (
	"context"
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Connection consumes the messages for one host. Create its consumers, then start it with
// [Connection.ConsumeInThread], and close it at the end. It is safe for concurrent use.
type Connection struct {
	transport *oslorpc.Transport
	host      string

	mu        sync.Mutex
	consumers consumers
	servers   []*oslorpc.Server // while it consumes
	closed    bool
}

// CreateConnection returns a connection for a host: the name of this process, which is the flag
// "host" in Nova. Workers with the same name share the messages for it.
func (r *RPC) CreateConnection(host string) *Connection {
	return &Connection{transport: r.transport, host: host}
}

// CreateConsumer makes proxy serve the messages of a queue after [Connection.ConsumeInThread]. The
// queue is a topic, this connection's host on the topic, or with fanout the topic again, for
// messages to all hosts. All three must have the same proxy. A connection may consume several
// topics.
func (c *Connection) CreateConsumer(queue Queue, proxy any, fanout bool) error {
	if err := c.checkQueue(queue, fanout); err != nil {
		return err
	}
	if err := checkProxy(proxy); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errClosed()
	case c.servers != nil:
		return invalid(oslorpc.Invalid, "the connection consumes already: create its consumers before ConsumeInThread")
	}
	return c.consumers.add(queue, proxy, queue.way(fanout))
}

func (c *Connection) checkQueue(queue Queue, fanout bool) error {
	switch {
	case c.host == "":
		return invalid(oslorpc.Invalid, "the connection has no host: give CreateConnection the name under which it is reached")
	case queue.topic == "":
		return invalid(oslorpc.Invalid, "the queue has no topic: make it with Topic or QueueGetFor")
	case fanout && queue.host != "":
		return invalid(oslorpc.Invalid, "a fanout is for all hosts, and %q is the queue of one: use Topic(%q)", queue, queue.topic)
	case queue.host != "" && queue.host != c.host:
		return invalid(oslorpc.Invalid, "%q is the queue of host %q, and the connection belongs to host %q: create another connection",
			queue, queue.host, c.host)
	}
	return oslorpc.Target{Topic: queue.topic, Server: c.host}.Validate()
}

// ConsumeInThread starts consuming in the background. When it returns, others can send to the
// consumers. Ctx bounds the start only. If it fails, nothing is consumed. It does nothing on a
// connection that consumes already, as in Nova.
func (c *Connection) ConsumeInThread(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errClosed()
	case c.servers != nil:
		return nil
	}
	if err := c.consumers.check(c.host); err != nil {
		return err
	}
	var started []*oslorpc.Server
	for _, consumer := range c.consumers {
		server := c.transport.Server(oslorpc.Target{Topic: consumer.topic, Server: c.host})
		server.Add(endpoint(consumer.proxy))
		if err := server.Start(ctx); err != nil {
			return errors.Join(err, stop(ctx, started))
		}
		started = append(started, server)
	}
	c.servers = started
	return nil
}

// Close ends the consumers and finishes the accepted messages. If ctx ends first, it cancels them
// and returns an error. The transport stays open.
func (c *Connection) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	servers := c.servers
	c.servers, c.closed = nil, true
	return stop(ctx, servers)
}

// stop stops servers concurrently, since each takes a moment to leave.
func stop(ctx context.Context, servers []*oslorpc.Server) error {
	failures := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, s := range servers {
		stopping.Go(func() { failures[i] = s.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(failures...)
}

func errClosed() error { return invalid(oslorpc.Invalid, "the connection is closed: create another") }
