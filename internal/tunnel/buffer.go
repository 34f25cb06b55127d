package tunnel

import (
	"io"
	"os"
	"sync"
	"time"
)

// bufferSize is how many bytes a connection keeps in each direction, beside what its stream keeps.
const bufferSize = 64 << 10

// buffer has the bytes of one direction between one end that writes and one that reads. Either may
// be several goroutines.
type buffer struct {
	mu      sync.Mutex
	changed sync.Cond // on mu
	ring    []byte    // it grows to bufferSize
	start   int       // of what is to be read
	size    int
	// over is the error of writes, once they have ended; at is what reads return after the last
	// byte.
	over, at      error
	readBy, endBy deadline
}

func newBuffer() *buffer {
	b := &buffer{}
	b.changed.L = &b.mu
	return b
}

// read takes what is there, and waits until something is.
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

// take takes what is there. The lock is held.
func (b *buffer) take(p []byte) (n int) {
	for n < len(p) && b.size > 0 {
		k := copy(p[n:], b.ring[b.start:min(b.start+b.size, len(b.ring))])
		b.start, b.size, n = (b.start+k)%len(b.ring), b.size-k, n+k
	}
	b.changed.Broadcast()
	return n
}

// write puts all of p in, and waits for room.
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

// grow makes room for n more bytes, as far as there may be. The lock is held.
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

// put puts in what there is room for. The lock is held.
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

// finish ends the writes with an error. What was written can still be read, and then io.EOF comes.
func (b *buffer) finish(writes error) { b.end(writes, io.EOF, false) }

// fail ends both sides: writes at once, and reads after what is there.
func (b *buffer) fail(err error) { b.end(err, err, false) }

// drop is fail, and what is there is lost.
func (b *buffer) drop(err error) { b.end(err, err, true) }

// end ends both sides, as far as they have not ended: the first reason counts. Lose drops what was
// not read.
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

// deadline is when the waits of one side end. The lock of its buffer guards it.
type deadline struct {
	at    time.Time // zero for never
	timer *time.Timer
}

func (d *deadline) isOver() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
