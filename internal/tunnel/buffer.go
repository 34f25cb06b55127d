package tunnel

import (
	"io"
	"os"
	"sync"
	"time"
)

// bufferSize is how many bytes a connection buffers in each direction, besides the buffers of its
// stream.
const bufferSize = 64 << 10

// buffer buffers the bytes of one direction. It is safe for concurrent use by several readers and
// writers.
type buffer struct {
	mu      sync.Mutex
	changed sync.Cond // on mu
	ring    []byte    // it grows to bufferSize
	start   int       // the index of the next byte to read
	size    int
	// over is the error of writes after their end. At is the error of reads after the last byte.
	over, at      error
	readBy, endBy deadline
}

func newBuffer() *buffer {
	b := &buffer{}
	b.changed.L = &b.mu
	return b
}

// read returns buffered bytes. It waits until there are any.
func (b *buffer) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.readBy.isOver():
			return 0, os.ErrDeadlineExceeded
		case b.size > 0 || len(p) == 0:
			return b.take(p), nil
		case b.at != nil:
			return 0, b.at
		}
		b.changed.Wait()
	}
}

// take moves buffered bytes to p. The lock is held.
func (b *buffer) take(p []byte) (n int) {
	for n < len(p) && b.size > 0 {
		k := copy(p[n:], b.ring[b.start:min(b.start+b.size, len(b.ring))])
		b.start, b.size, n = (b.start+k)%len(b.ring), b.size-k, n+k
	}
	b.changed.Broadcast()
	return n
}

// write writes all of p, and waits for room.
func (b *buffer) write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.over != nil:
			return n, b.over
		case b.endBy.isOver():
			return n, os.ErrDeadlineExceeded
		case len(p) == n:
			return n, nil
		case b.size < bufferSize:
			n += b.put(p[n:])
			continue
		}
		b.changed.Wait()
	}
}

// minRing is the size of the first ring.
const minRing = 4 << 10

// grow makes room for n more bytes, up to bufferSize. The lock is held.
func (b *buffer) grow(n int) {
	size := max(len(b.ring), minRing)
	for size < bufferSize && size < b.size+n {
		size *= 2
	}
	if size == len(b.ring) {
		return
	}
	ring := make([]byte, size)
	if b.size > 0 {
		end := min(b.start+b.size, len(b.ring))
		copy(ring[copy(ring, b.ring[b.start:end]):], b.ring[:b.size-(end-b.start)])
	}
	b.ring, b.start = ring, 0
}

// put adds as many bytes as there is room for. The lock is held.
func (b *buffer) put(p []byte) (n int) {
	b.grow(len(p))
	for n < len(p) && b.size < len(b.ring) {
		end := (b.start + b.size) % len(b.ring)
		k := copy(b.ring[end:min(end+len(b.ring)-b.size, len(b.ring))], p[n:])
		b.size, n = b.size+k, n+k
	}
	b.changed.Broadcast()
	return n
}

// finish ends writing with an error. Buffered bytes can still be read, followed by io.EOF.
func (b *buffer) finish(writes error) { b.end(writes, io.EOF, false) }

// fail ends both sides: writing at once, and reading after the buffered bytes.
func (b *buffer) fail(err error) { b.end(err, err, false) }

// drop is fail, but it discards the buffered bytes.
func (b *buffer) drop(err error) { b.end(err, err, true) }

// end ends both sides with errors, unless they have ended before. If lose is true, it also discards
// the buffered bytes.
func (b *buffer) end(writes, reads error, lose bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over == nil {
		b.over = writes
	}
	if b.at == nil {
		b.at = reads
	}
	if lose {
		b.at, b.size, b.ring = reads, 0, nil
	}
	b.changed.Broadcast()
}

// setDeadline sets the deadline of one side.
func (b *buffer) setDeadline(d *deadline, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.changed.Broadcast()
		})
	}
	b.changed.Broadcast()
}

// deadline is the deadline of one side. The lock of its buffer guards it.
type deadline struct {
	at    time.Time // zero for never
	timer *time.Timer
}

func (d *deadline) isOver() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
