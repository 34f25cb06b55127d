package wire

import (
	"runtime"
	"sync"
	"time"
)

// Lane is the priority of a waiting frame.
type Lane uint8

// The lanes are listed from the highest priority to the lowest.
const (
	// Control is for small frames about messages.
	Control Lane = iota
	// Single is for a message, or a result, that fits into one frame.
	Single
	// Bulk is for parts of large results.
	Bulk

	lanes
)

// Outgoing is a frame that waits to be sent, or is being sent.
type Outgoing struct {
	// Bytes are the encoded frame. They must not be changed from Push until the frame was sent.
	Bytes []byte
	// Alone is true if the frame must have its own message.
	Alone bool
	// Of is the object that the frame is about, or nil.
	Of any

	next *Outgoing
	lane Lane
	in   bool // it is in the queue, or gone
	left bool // it has left the queue: it is being sent, or was
	sent bool // SendMsg has returned
	gone bool // it was removed from the queue and is not sent
}

// Waits reports whether the frame is in the queue. The lock of the sender is held.
func (o *Outgoing) Waits() bool { return o != nil && o.in && !o.gone }

// IsSent reports whether the sender no longer uses the frame. The lock of the sender is held.
func (o *Outgoing) IsSent() bool { return o.sent }

// Left reports whether the frame has left the queue. The lock of the sender is held.
func (o *Outgoing) Left() bool { return o.left }

// Owner is the end of a session that a [Sender] belongs to. The sender calls its methods with the
// lock held.
type Owner interface {
	// Leaves is called right before a frame is sent.
	Leaves(o *Outgoing)
	// Sent is called when SendMsg has returned. It may push more frames with PushLocked.
	Sent(o *Outgoing, err error)
	// MayBlock reports whether SendMsg could block now.
	MayBlock() bool
	// Crowded reports whether other goroutines will probably push soon, because [Crowd] messages
	// are in progress.
	Crowded() bool
}

// Sender sends frames on one stream, on which only one goroutine at a time may send. The goroutine
// that pushes first also sends the frames that others push meanwhile, so no goroutine waits for
// frames or for its turn. Frames that wait at the same time are sent in one message, since a
// message costs gRPC as much as ten frames. The lock of the sender is also the lock of its owner.
type Sender struct {
	sync.Mutex

	owner  Owner
	send   func(m any) error
	queues [lanes]struct{ first, last *Outgoing }
	since  time.Time // when the frames that are being sent were begun
	active bool      // a goroutine sends
	opens  int       // how many streams there were
	broken bool      // the last one takes nothing more
	closed bool

	// leaving are the frames that are being sent. Only the sending goroutine uses this field and
	// the next.
	leaving []*Outgoing
	batch   batch
}

const (
	// Crowd is a number of messages in progress. From this number on, a sending goroutine lets
	// others push first. Under load, most frames then share a message, and without load no message
	// waits.
	Crowd = 8
	// turn is how many frames a pushing goroutine sends before another goroutine takes over.
	turn = 32
	// together bounds the bytes of frames in one message, unless a single frame is larger. With its
	// prefix, such a message fits into one HTTP/2 frame, so its reader need not copy it.
	together = 16<<10 - 5
)

// Open makes the sender send on a stream. The lock is held.
func (s *Sender) Open(owner Owner, send func(m any) error) {
	s.owner, s.send, s.broken, s.closed = owner, send, false, false
	s.opens++
	s.batch.message = emptyFrame
}

// Close empties the queue and stops further pushes. It returns the frames that were in the queue.
// The lock is held.
func (s *Sender) Close() (waiting []*Outgoing) {
	s.closed = true
	for o := s.next(); o != nil; o = s.next() {
		o.gone = true
		waiting = append(waiting, o)
	}
	return waiting
}

// PushLocked adds a frame to the queue. The lock is held. It returns false if the sender is closed.
// If it returns true, call [Sender.Drain] without the lock.
func (s *Sender) PushLocked(o *Outgoing, lane Lane) bool {
	if s.closed {
		return false
	}
	o.next, o.in, o.left, o.sent, o.gone, o.lane = nil, true, false, false, false, lane
	q := &s.queues[lane]
	if q.last == nil {
		q.first = o
	} else {
		q.last.next = o
	}
	q.last = o
	return true
}

// Push adds a frame to the queue and sends the queue. It returns false if the sender is closed.
func (s *Sender) Push(o *Outgoing, lane Lane) bool {
	s.Lock()
	ok := s.PushLocked(o, lane)
	s.Unlock()
	s.Drain()
	return ok
}

// TakeBack removes a frame from the queue. It returns false if the frame has left the queue. The
// lock is held.
func (s *Sender) TakeBack(o *Outgoing) bool {
	if !o.left {
		o.gone = true
	}
	return !o.left
}

// IsQuiet reports whether no goroutine sends and no frame waits. The lock is held.
func (s *Sender) IsQuiet() bool { return !s.active && s.Idle() }

// Idle reports whether no frame waits. A frame that is being sent does not count. The lock is held.
func (s *Sender) Idle() bool {
	for i := range s.queues {
		if s.queues[i].first != nil {
			return false
		}
	}
	return true
}

// Since returns when sending the current frames began, or zero if no frame is being sent. The lock
// is held.
func (s *Sender) Since() time.Time { return s.since }

// Drain sends the queue, unless another goroutine does. It does not block on a peer that does not
// read. After a while, it leaves the rest to another goroutine.
func (s *Sender) Drain() {
	s.Lock()
	defer s.Unlock()
	if s.active {
		return
	}
	s.active = true
	if s.owner.Crowded() { // others are about to push
		s.Unlock()
		runtime.Gosched()
		s.Lock()
	}
	for sent := 0; s.canSend(); sent += s.sendSome() {
		if sent >= turn || s.owner.MayBlock() {
			go s.drainAll()
			return
		}
	}
	s.active = false
}

// drainAll sends the queue, and blocks while the peer does not read.
func (s *Sender) drainAll() {
	s.Lock()
	defer s.Unlock()
	for s.canSend() {
		s.sendSome()
	}
	s.active = false
}

// canSend reports whether a frame waits that the stream may accept. After the stream broke, waiting
// frames stay in the queue, so that [Sender.Close] returns them as unsent. The lock is held.
func (s *Sender) canSend() bool { return !s.Idle() && !s.closed && !s.broken }

// sendSome sends the next frames, as many as fit into one message, and returns how many. The lock
// is held, except during SendMsg.
func (s *Sender) sendSome() int {
	for o := s.next(); o != nil; o = s.next() {
		if !s.fits(o) {
			s.back(o)
			break
		}
		o.left, o.in = true, false
		s.owner.Leaves(o)
		s.batch.add(o.Bytes)
		s.leaving = append(s.leaving, o)
	}
	n := len(s.leaving)
	if n == 0 { // they were taken back
		return 0
	}
	owner, send, stream := s.owner, s.send, s.opens
	s.since = time.Now()
	s.Unlock()
	err := send(&s.batch)
	s.Lock()
	s.since = time.Time{}
	if err != nil && stream == s.opens {
		s.broken = true
	}
	for _, o := range s.leaving {
		o.sent = true
		owner.Sent(o, err)
	}
	clear(s.leaving)
	s.leaving = s.leaving[:0]
	s.batch.Reset()
	return n
}

// fits reports whether a frame fits into the message that is being prepared.
func (s *Sender) fits(o *Outgoing) bool {
	n := len(s.leaving)
	return n == 0 || n < maxFrames && !o.Alone && !s.leaving[0].Alone && s.batch.sizeWith(o.Bytes) <= together
}

// next takes the next frame out of the queue, or returns nil if there is none.
func (s *Sender) next() *Outgoing {
	for i := range s.queues {
		q := &s.queues[i]
		for q.first != nil {
			o := q.first
			if q.first = o.next; q.first == nil {
				q.last = nil
			}
			o.next = nil
			if !o.gone {
				return o
			}
		}
	}
	return nil
}

// back puts a frame back to the front of its lane.
func (s *Sender) back(o *Outgoing) {
	q := &s.queues[o.lane]
	if o.next = q.first; q.first == nil {
		q.last = o
	}
	q.first = o
}
