package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// FrameSize is the maximum size of a frame. Together with gRPC's prefix, a frame fits into one
// HTTP/2 frame.
const FrameSize = 16<<10 - 64

// lingerTime bounds how long bytes that were written before Close are still sent.
const lingerTime = 5 * time.Second

// Stream carries the frames of a connection. One goroutine sends and another receives.
type Stream interface {
	// Send sends a frame. It may wait for flow control, and does not keep the frame.
	Send(frame []byte) error
	// Receive returns the next frame, which is valid until the next call. It returns io.EOF after
	// the last frame if the other end closed the connection.
	Receive() ([]byte, error)
	// End tells the other end that no frame follows. It is called once, after the last Send.
	End()
	// Abort makes Send and Receive return an error.
	Abort()
}

// Conn is a connection over a stream. It is safe for concurrent use.
type Conn struct {
	stream        Stream
	local, remote Addr
	in, out       *buffer

	closing sync.Once
	linger  *time.Timer // set by Close
	running sync.WaitGroup
	done    chan struct{}
	failure atomic.Pointer[error]
}

// Addr is the name of an end of a connection.
type Addr string

// Network implements [net.Addr].
func (Addr) Network() string { return "tunnel" }

// Is reports whether an address belongs to a tunnel.
func Is(a net.Addr) bool {
	_, ok := a.(Addr)
	return ok
}

// String returns the name.
func (a Addr) String() string { return string(a) }

// New returns a connection over a stream, with the addresses local and remote. The caller must not
// use the stream afterwards.
func New(s Stream, local, remote string) *Conn {
	c := &Conn{stream: s, local: Addr(local), remote: Addr(remote), in: newBuffer(), out: newBuffer(), done: make(chan struct{})}
	c.running.Go(c.send)
	c.running.Go(c.receive)
	go func() {
		c.running.Wait()
		close(c.done)
	}()
	return c
}

// Done returns a channel that is closed when the stream has ended in both directions.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the stream broke, or nil if it has not, or if one end closed the connection.
func (c *Conn) Err() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// send sends the written bytes.
func (c *Conn) send() {
	defer c.stream.End()
	frame := make([]byte, FrameSize)
	for {
		n, err := c.out.read(frame)
		if err != nil {
			return
		}
		if err := c.stream.Send(frame[:n]); err != nil {
			c.out.drop(c.broken(err))
			return // receive gets the error of the stream
		}
	}
}

// receive handles frames of the other end. It discards frames that arrive after Close.
func (c *Conn) receive() {
	for {
		frame, err := c.stream.Receive()
		if err == nil {
			_, _ = c.in.write(frame) // it fails only after Close, which the other end is told
			continue
		}
		if !errors.Is(err, io.EOF) {
			err = c.broken(err)
			c.failure.CompareAndSwap(nil, &err)
			c.in.fail(err)
			c.out.drop(err)
			return
		}
		c.in.finish(io.ErrClosedPipe)
		c.out.finish(io.ErrClosedPipe) // a connection closes in both directions
		return
	}
}

// broken returns the error of a connection whose stream broke.
func (c *Conn) broken(err error) error {
	return &net.OpError{Op: "tunnel", Net: c.remote.Network(), Addr: c.remote, Err: err}
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements [net.Conn]. It returns when the bytes are buffered, as with TCP.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close implements [net.Conn]. Bytes that were written before are still sent.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.linger = time.AfterFunc(lingerTime, c.stream.Abort)
		c.in.drop(net.ErrClosed)
		c.out.finish(net.ErrClosed)
		go func() {
			<-c.done
			c.linger.Stop()
		}()
	})
	return nil
}

// Abort ends the connection at once. Written bytes may be lost.
func (c *Conn) Abort() {
	_ = c.Close() // it never fails
	c.out.drop(net.ErrClosed)
	c.stream.Abort()
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t) // neither fails
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.endBy, t)
	return nil
}
