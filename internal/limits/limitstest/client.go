// Package limitstest attacks servers in tests. Its client writes HTTP/2 frames itself, so it can do
// what gRPC clients cannot: leave requests unfinished, and answers unread.
package limitstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Client is one connection to a server. It is safe for concurrent use.
type Client struct {
	Conn net.Conn
	// Reads is true if the client sends window updates for the server's answers. Set it before
	// Start.
	Reads bool

	mu     sync.Mutex // guards the fields below, and writing
	framer *http2.Framer
	block  bytes.Buffer
	packer *hpack.Encoder
	last   uint32           // the last stream
	room   map[uint32]int64 // the flow-control window for each stream; 0 is the connection
	start  int64            // room of a new stream
	ends   map[uint32]End
	max    uint32 // MAX_CONCURRENT_STREAMS
	change *sync.Cond
	over   error
}

// End is how a server ended a stream.
type End struct {
	// Reset is the code of RST_STREAM, if the server sent that in place of trailers.
	Reset   http2.ErrCode
	IsReset bool
	// Status is grpc-status, Message is grpc-message, and Details is grpc-status-details-bin, still
	// encoded.
	Status, Message, Details string
}

// New returns a client on a connection. It sends nothing yet.
func New(conn net.Conn) *Client {
	c := &Client{Conn: conn, framer: http2.NewFramer(conn, conn), room: map[uint32]int64{0: 65535}, start: 65535, ends: map[uint32]End{}}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.packer, c.change = hpack.NewEncoder(&c.block), sync.NewCond(&c.mu)
	return c
}

// Dial connects to a server over TCP, and sends the preface. With reads, the client grants the
// server all the flow-control window that it needs.
func Dial(addr string, reads bool) (*Client, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return Start(conn, reads)
}

// Start sends the preface on a connection.
func Start(conn net.Conn, reads bool) (*Client, error) {
	c := New(conn)
	c.Reads = reads
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	settings := []http2.Setting{}
	if !reads {
		settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	}
	if err := c.framer.WriteSettings(settings...); err != nil {
		return nil, err
	}
	go c.read()
	return c, nil
}

// Close closes the connection.
func (c *Client) Close() { _ = c.Conn.Close() }

// Open begins an RPC with additional headers, and returns the number of its stream.
func (c *Client) Open(path string, headers ...string) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return 0, c.over
	}
	c.block.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "server", "content-type", "application/grpc", "te", "trailers",
	}, headers...)
	for i := 0; i < len(fields); i += 2 {
		_ = c.packer.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	c.last += 2
	id := c.last - 1
	c.room[id] = c.start
	return id, c.writeHeaders(id, c.block.Bytes())
}

// writeHeaders writes a header list, in several frames if necessary. The lock is held.
func (c *Client) writeHeaders(id uint32, block []byte) error {
	const size = 16 << 10
	for first := true; ; first = false {
		part := block[:min(size, len(block))]
		block = block[len(part):]
		var err error
		if first {
			err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndHeaders: len(block) == 0})
		} else {
			err = c.framer.WriteContinuation(id, len(block) == 0, part)
		}
		if err != nil || len(block) == 0 {
			return err
		}
	}
}

// Prefix returns the gRPC prefix of a message of n bytes.
func Prefix(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(n)) //nolint:gosec // Messages are smaller.
}

// Send sends a part of a request, within the window that the server grants. It waits for the window
// until the stream or the connection ends.
func (c *Client) Send(id uint32, b []byte, end bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		_, ended := c.ends[id]
		room := min(c.room[0], c.room[id], int64(len(b)), 16<<10)
		switch {
		case c.over != nil:
			return c.over
		case ended:
			return errors.New("the server ended the stream")
		case room <= 0 && len(b) > 0:
			c.change.Wait()
			continue
		}
		if err := c.framer.WriteData(id, end && room == int64(len(b)), b[:room]); err != nil {
			return err
		}
		c.room[0], c.room[id], b = c.room[0]-room, c.room[id]-room, b[room:]
		if len(b) == 0 {
			return nil
		}
	}
}

// Request sends a whole request, and returns the number of its stream.
func (c *Client) Request(path string, message []byte, headers ...string) (uint32, error) {
	id, err := c.Open(path, headers...)
	if err != nil {
		return 0, err
	}
	return id, c.Send(id, append(Prefix(len(message)), message...), true)
}

// Reset ends a stream.
func (c *Client) Reset(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[id] = End{IsReset: true, Reset: http2.ErrCodeCancel}
	return c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
}

// Await waits until the server has ended a stream, at most for limit. It returns an error if the
// connection ended.
func (c *Client) Await(id uint32, limit time.Duration) (End, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := false
	defer time.AfterFunc(limit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.change.Broadcast()
	}).Stop()
	for {
		if end, ok := c.ends[id]; ok {
			return end, nil
		}
		if c.over != nil {
			return End{}, c.over
		}
		if late {
			return End{}, errors.New("the server did not end the stream in time")
		}
		c.change.Wait()
	}
}

// Ended returns how many streams the server has ended, and whether the connection is over.
func (c *Client) Ended() (streams int, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ends), c.over != nil
}

// MaxStreams returns how many concurrent streams the server allows, or 0 if it does not say.
func (c *Client) MaxStreams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.max)
}
