//go:build linux

package world

import (
	"bytes"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// canceler passes on a connection of HTTP/2, and cancels every third stream when the client has
// sent all of its request.
type canceler struct {
	client, server net.Conn

	mu sync.Mutex // of writing a frame to the client
}

// there passes on what the client sends.
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
	// If it fails, so does passing on.
	_ = http2.NewFramer(c.client, nil).WriteRSTStream(stream, http2.ErrCodeCancel)
}

// back passes on what the server sends.
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

// passFrame passes one frame on.
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
