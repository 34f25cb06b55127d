package badpeer

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// conn is the bad end of an HTTP/2 connection. It writes frames directly, so that it can send
// anything.
type conn struct {
	net.Conn

	peer *badPeer
	// ended is closed when the connection ends.
	ended chan struct{}

	mu     sync.Mutex // guards the fields below, and writing
	framer *http2.Framer
	block  bytes.Buffer
	packer *hpack.Encoder
	room   map[uint32]int64 // the flow-control window for each stream; 0 is the connection
	start  int64            // room of a new stream
	more   *sync.Cond       // there is more room, or the connection has ended
	over   bool
}

// stream is one RPC that a bad peer received.
type stream struct {
	id   uint32
	path string
	body []byte
}

func newConn(raw net.Conn, p *badPeer) *conn {
	c := &conn{Conn: raw, peer: p, ended: make(chan struct{}), framer: http2.NewFramer(raw, raw), room: map[uint32]int64{0: 65535}, start: 65535}
	c.packer = hpack.NewEncoder(&c.block)
	c.more = sync.NewCond(&c.mu)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return c
}

// serve speaks HTTP/2 until the connection ends.
func (c *conn) serve() {
	b := &c.peer.kind.behavior
	var handlers sync.WaitGroup
	defer func() {
		c.mu.Lock()
		c.over = true
		c.more.Broadcast()
		c.mu.Unlock()
		close(c.ended)
		handlers.Wait()
	}()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	c.frame(func() error { return c.framer.WriteSettings(b.settings...) })
	if b.greeted != nil {
		handlers.Go(func() { b.greeted(c) })
	}
	streams := map[uint32]*stream{}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			c.adopt(f)
		case *http2.PingFrame:
			if !b.deaf && !f.IsAck() {
				c.frame(func() error { return c.framer.WritePing(true, f.Data) })
			}
		case *http2.WindowUpdateFrame:
			c.widen(f.StreamID, int64(f.Increment))
		case *http2.MetaHeadersFrame:
			s := &stream{id: f.StreamID, path: f.PseudoValue("path")}
			streams[s.id] = s
			c.mu.Lock()
			c.room[s.id] = c.start
			c.mu.Unlock()
			if b.begun != nil {
				handlers.Go(func() { b.begun(c, s) })
			}
		case *http2.DataFrame:
			s := streams[f.StreamID]
			s.body = append(s.body, f.Data()...)
			if n := uint32(len(f.Data())); n > 0 && !b.stingy {
				c.frame(func() error { return c.framer.WriteWindowUpdate(0, n) })
				if !f.StreamEnded() {
					c.frame(func() error { return c.framer.WriteWindowUpdate(f.StreamID, n) })
				}
			}
			if f.StreamEnded() {
				c.peer.received(s)
				if b.asked != nil {
					handlers.Go(func() { b.asked(c, s) })
				}
			}
		case *http2.RSTStreamFrame:
			c.widen(f.StreamID, 1<<40) // unblocks writes to the stream, which then end
		}
	}
}

// adopt applies the settings of the client.
func (c *conn) adopt(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.mu.Lock()
		for id := range c.room {
			if id != 0 {
				c.room[id] += int64(n) - c.start
			}
		}
		c.start = int64(n)
		c.more.Broadcast()
		c.mu.Unlock()
	}
	if !c.peer.kind.behavior.rude {
		c.frame(c.framer.WriteSettingsAck)
	}
}

func (c *conn) widen(id uint32, n int64) {
	c.mu.Lock()
	c.room[id] += n
	c.more.Broadcast()
	c.mu.Unlock()
}

// frame writes one frame. It returns false if the connection ended.
func (c *conn) frame(write func() error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over && write() == nil
}

// headers sends headers. Names and values alternate in fields.
func (c *conn) headers(s *stream, end bool, fields ...string) bool {
	return c.frame(func() error {
		c.block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = c.packer.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		block := c.block.Bytes()
		const most = 16 << 10
		first := block[:min(len(block), most)]
		rest := block[len(first):]
		err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: first, EndStream: end, EndHeaders: len(rest) == 0})
		for err == nil && len(rest) > 0 {
			part := rest[:min(len(rest), most)]
			rest = rest[len(part):]
			err = c.framer.WriteContinuation(s.id, len(rest) == 0, part)
		}
		return err
	})
}

// data sends bytes as the client's flow control allows. It returns false if the connection ended.
func (c *conn) data(s *stream, end bool, b []byte) bool {
	for {
		c.mu.Lock()
		for !c.over && len(b) > 0 && min(c.room[0], c.room[s.id]) <= 0 {
			c.more.Wait()
		}
		part := b[:min(int64(len(b)), max(0, c.room[0]), max(0, c.room[s.id]), 16<<10)]
		b = b[len(part):]
		c.room[0] -= int64(len(part))
		c.room[s.id] -= int64(len(part))
		over := c.over || c.framer.WriteData(s.id, end && len(b) == 0, part) != nil
		c.mu.Unlock()
		if over || len(b) == 0 {
			return !over
		}
	}
}

func (c *conn) reset(s *stream, code http2.ErrCode) bool {
	return c.frame(func() error { return c.framer.WriteRSTStream(s.id, code) })
}

func (c *conn) goAway(last uint32, code http2.ErrCode, debug string) bool {
	return c.frame(func() error { return c.framer.WriteGoAway(last, code, []byte(debug)) })
}

// bytes writes raw bytes, which are no frame or an invalid frame.
func (c *conn) bytes(b []byte) bool {
	return c.frame(func() error { _, err := c.Write(b); return err })
}

// ok begins a response.
func (c *conn) ok(s *stream, more ...string) bool {
	return c.headers(s, false, append([]string{":status", "200", "content-type", "application/grpc"}, more...)...)
}

// message sends a message.
func (c *conn) message(s *stream, m proto.Message) bool {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return c.data(s, false, framed(0, b))
}

// framed adds gRPC's prefix to a message.
func framed(flag byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(b))), b...)
}

// end ends a response that has begun.
func (c *conn) end(s *stream, code string, more ...string) bool {
	return c.headers(s, true, append([]string{"grpc-status", code}, more...)...)
}

// only sends a response that consists only of its end.
func (c *conn) only(s *stream, code string, more ...string) bool {
	return c.headers(s, true, append([]string{":status", "200", "content-type", "application/grpc", "grpc-status", code}, more...)...)
}

// abort resets the connection, as the kernel does for a process that died with unread data.
func abort(raw net.Conn) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// forever repeats do until it fails, at the latest when the connection ends.
func forever(do func() bool) {
	for do() {
	}
}

// pause waits. It returns false if the connection ended.
func (c *conn) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.ended:
		return false
	}
}
