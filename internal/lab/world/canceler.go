//go:build linux

package world

import (
	"bytes"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// canceler forwards an HTTP/2 connection, and cancels every third stream after the client has sent
// the whole request.
type canceler struct {
	client, server net.Conn

	mu sync.Mutex // of writing a frame to the client
}

// there forwards from the client to the server.
func (c *canceler) there(server, client net.Conn) {
	defer server.Close()
	defer client.Close()
	if _, err := io.CopyN(server, client, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	for n := 0; ; {
		h, err := passFrame(server, client)
		if err != nil {
			return
		}
		if h.Type != http2.FrameData || !h.Flags.Has(http2.FlagDataEndStream) {
			continue
		}
		if n++; n%3 == 0 {
			c.cancel(h.StreamID)
		}
	}
}

func (c *canceler) cancel(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// If writing fails, forwarding fails as well.
	_ = http2.NewFramer(c.client, nil).WriteRSTStream(stream, http2.ErrCodeCancel)
}

// back forwards from the server to the client.
func (c *canceler) back(client, server net.Conn) {
	defer server.Close()
	defer client.Close()
	for {
		frame := new(bytes.Buffer)
		if _, err := passFrame(frame, server); err != nil {
			return
		}
		c.mu.Lock()
		_, err := frame.WriteTo(client)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// passFrame forwards one frame.
func passFrame(to io.Writer, from io.Reader) (http2.FrameHeader, error) {
	var header bytes.Buffer
	h, err := http2.ReadFrameHeader(io.TeeReader(from, &header))
	if err != nil {
		return h, err
	}
	if _, err := header.WriteTo(to); err != nil {
		return h, err
	}
	_, err = io.CopyN(to, from, int64(h.Length))
	return h, err
}
