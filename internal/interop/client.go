package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// patience is how long a client may take to answer a request, in addition to the timeout of the
// request.
const patience = 30 * time.Second

// client is a client program. Its methods are safe for concurrent use.
type client struct {
	*process

	out *wire.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan *wire.Reply
}

func startClient(ctx context.Context, l *Language, url string) (*client, error) {
	c := &client{waiting: map[int]chan *wire.Reply{}}
	p, err := start(ctx, l.Name+" client", l.client(url), c.take)
	if err != nil {
		return nil, err
	}
	c.process, c.out = p, wire.NewWriter(p.in)
	return c, nil
}

// take processes a reply.
func (c *client) take(line []byte) error {
	r, err := decode[wire.Reply](line)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[r.ID]
	if waiting == nil {
		return errors.New("no outstanding request has this ID")
	}
	delete(c.waiting, r.ID)
	waiting <- r
	return nil
}

// outstanding is a request that was sent to a client and is not answered yet.
type outstanding struct {
	id     int
	client *client
	reply  chan *wire.Reply
	limit  time.Duration
}

// begin sends a request.
func (c *client) begin(r wire.Request) (*outstanding, error) {
	c.mu.Lock()
	c.last++
	r.ID = c.last
	o := &outstanding{r.ID, c, make(chan *wire.Reply, 1), patience + time.Duration(r.Timeout*float64(time.Second))}
	c.waiting[r.ID] = o.reply
	c.mu.Unlock()
	if err := c.out.Write(r); err != nil {
		return nil, fmt.Errorf("sending a request to %s: %w", c.name, err)
	}
	return o, nil
}

// wait waits for the reply.
func (o *outstanding) wait() (*wire.Reply, error) {
	select {
	case r := <-o.reply:
		return r, nil
	case <-o.client.exited:
		return nil, fmt.Errorf("%s has ended: %v", o.client.name, o.client.cmd.ProcessState)
	case <-time.After(o.limit):
		return nil, fmt.Errorf("%s did not answer in %v%s", o.client.name, o.limit, o.client.logged())
	}
}

// cancel makes the client cancel the request.
func (o *outstanding) cancel() error {
	c, err := o.client.begin(wire.Request{Do: wire.Cancel, Of: o.id})
	if err != nil {
		return err
	}
	_, err = c.wait()
	return err
}

// do sends a request and waits for the reply.
func (c *client) do(r wire.Request) (*wire.Reply, error) {
	o, err := c.begin(r)
	if err != nil {
		return nil, err
	}
	return o.wait()
}
