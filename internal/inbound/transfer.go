package inbound

import (
	"encoding/binary"
	"errors"
	"os"
	"time"
)

// Read returns bytes from the peer and, between its frames, frames of the guard.
func (g *guard) Read(b []byte) (int, error) {
	for {
		room, injected := g.prepare(b)
		if injected > 0 {
			return injected, nil
		}
		n, err := g.conn.Read(room)
		if n > 0 {
			g.taken(room[:n])
			return n, err
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !g.wakes() {
			return n, err
		}
	}
}

// prepare copies frames of the guard into b, if there are any and a frame may come now. Otherwise
// it returns the part of b to fill with bytes from the peer. If frames of the guard wait, that part
// ends with the current frame.
func (g *guard) prepare(b []byte) (room []byte, injected int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case len(g.inject) == 0:
		return b, 0
	case g.in.isBetween():
		n := copy(b, g.inject)
		g.inject = g.inject[n:]
		return nil, n
	default:
		return b[:min(len(b), g.in.untilEnd())], 0
	}
}

// wakes reports whether the read deadline has passed only to wake the reader. In that case it
// removes the deadline.
func (g *guard) wakes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.woken {
		return false
	}
	g.woken = false
	_ = g.conn.SetReadDeadline(time.Time{}) // if it fails, so does the next read
	return true
}

// Write writes the frames of gRPC, except those that the guard holds back, and inserts frames of
// the guard.
func (g *guard) Write(b []byte) (int, error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	out := g.rewrite(b)
	if err := g.put(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send writes a frame of the guard as soon as a frame may come.
func (g *guard) send(frame []byte) {
	g.writing.Lock()
	defer g.writing.Unlock()
	if g.out.isBetween() {
		_ = g.put(frame) // gRPC gets the error, too
	} else {
		g.waits = append(g.waits, frame...)
	}
}

// put writes to the connection. The lock for writing is held.
func (g *guard) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	g.written.Store(time.Now().UnixNano())
	defer g.written.Store(0)
	_, err := g.conn.Write(b)
	return err
}

// rewrite returns the bytes to write in place of b. In most cases they are b. The lock for writing
// is held.
func (g *guard) rewrite(b []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := editor{from: b, to: g.rewrites[:0]}
	for at := 0; at < len(b); {
		g.insert(&e, at)
		had := g.out.has
		n, begins := g.out.next(b[at:])
		switch {
		case begins && g.keeps(g.out.frame):
			e.drop(at, at+n)
		case begins && had > 0: // the beginning of the header was dropped until it was complete
			e.put(at, g.out.header[:had])
		case g.out.has > 0:
			e.drop(at, at+n)
		case g.keeping != nil:
			e.drop(at, at+n)
			g.keep(b[at : at+n])
		}
		at += n
	}
	g.insert(&e, len(b))
	if !e.changed {
		return b
	}
	e.put(len(b), nil)
	g.rewrites = e.to
	return e.to
}

// editor copies a text with changes.
type editor struct {
	from, to []byte
	done     int // bytes of from that are copied or dropped
	changed  bool
}

func (e *editor) drop(from, to int) {
	e.put(from, nil)
	e.done = to
}

func (e *editor) put(at int, b []byte) {
	e.to = append(append(e.to, e.from[e.done:at]...), b...)
	e.done, e.changed = at, true
}

// insert inserts waiting frames of the guard, if a frame may come now.
func (g *guard) insert(e *editor, at int) {
	if len(g.waits) > 0 && g.out.isBetween() {
		e.put(at, g.waits)
		g.waits = nil
	}
}

// keeps handles the header of a frame of gRPC. It reports whether to hold the frame back: it is a
// window update for a request that waits for its claim.
func (g *guard) keeps(f frame) bool {
	s := g.streams[f.stream]
	if s != nil {
		switch {
		case f.kind == typeWindowUpdate && s.waits:
			g.keeping = s
			return true
		case f.kind == typeData && s.unread > 0:
			s.wrote(f.length)
		}
	}
	if f.endsStream() {
		g.end(f.stream)
	}
	return false
}

// wrote notes that n bytes of an answer were written.
func (s *stream) wrote(n int) {
	s.progress = time.Now()
	if s.unread -= n; s.unread > 0 {
		return
	}
	if s.reserved == 0 {
		s.read()
		return
	}
	last := len(s.answers) - 1 // what is reserved for the next one
	for _, claim := range s.answers[:last] {
		claim.Release()
	}
	s.answers, s.unread = s.answers[last:], 0
}

// keep handles the content of the frame that is held back.
func (g *guard) keep(b []byte) {
	g.kept = append(g.kept, b...)
	if g.out.left > 0 {
		return
	}
	s, more := g.keeping, binary.BigEndian.Uint32(g.kept)
	g.keeping, g.kept = nil, g.kept[:0]
	if s.waits {
		s.kept += more
	} else { // it was granted meanwhile
		g.waits = append(g.waits, number(typeWindowUpdate, g.out.frame.stream, more)...)
	}
}
