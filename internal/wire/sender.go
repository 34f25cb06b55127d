package wire

import (
	"runtime"
	"sync"
	"time"
)

// Lane is the order in which frames leave that wait at the same time.
type Lane uint8

// The lanes, the first one first.
const (
	// Control is for small frames about messages.
	Control Lane = iota
	// Single is for a message, or a result, in one frame.
	Single
	// Bulk is for parts of results.
	Bulk

	lanes
)

// Outgoing is a frame that waits, or is being sent.
type Outgoing struct {
	// Bytes are the frame. They must not change once it was pushed, until it was sent.
	Bytes []byte
	// Alone has the frame travel alone.
	Alone bool
	// Of is what the frame is about; nil for nothing.
	Of any

	next *Outgoing
	lane Lane
	in   bool // it is in the queue
	left bool // it has left the queue: it is being sent, or was
	sent bool // SendMsg has returned
	gone bool // it was taken back
}

// Waits reports whether the frame is in the queue. The lock of the sender is held.
func (o *Outgoing) Waits() bool { return o != nil && o.in && !o.gone }

// IsSent reports whether nothing uses the frame any more. The lock of the sender is held.
func (o *Outgoing) IsSent() bool { return o.sent }

// Left reports whether the frame has left the queue. The lock of the sender is held.
func (o *Outgoing) Left() bool { return o.left }

// Owner is the end of a session that a [Sender] belongs to. The lock is held when it is called.
type Owner interface {
	// Leaves is called right before a frame is sent.
	Leaves(o *Outgoing)
	// Sent is called when SendMsg has returned, and may push further frames with PushLocked.
	Sent(o *Outgoing, err error)
	// MayBlock reports whether SendMsg might have to wait now.
	MayBlock() bool
	// Crowded reports whether others are likely to push soon: [Crowd] messages are on their way.
	Crowded() bool
}

// Sender sends frames on one stream, which allows one sender at a time. The first to push a frame
// sends for all that push while it does. So no goroutine waits for frames, and none for its turn.
// What waits at the same time travels in one message, since each message costs gRPC as much as ten
// frames. Its lock is also the lock of its owner.
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

	// The frames that are being sent. Only the goroutine that sends touches them.
	leaving []*Outgoing
	batch   batch
}

const (
	// Crowd is how many messages are on their way when the one who sends lets others push first. So
	// most of them travel together, and a message that is alone does not wait.
	Crowd = 8
	// turn is how many frames a pusher sends before another goroutine goes on.
	turn = 32
	// together is how many bytes of frames travel in one message, unless a single frame has more.
	// With its prefix, such a message fits into one frame of HTTP/2, so its reader need not copy
	// it.
	together = 16<<10 - 5
)

// Open has the sender send on a stream. The lock is held.
func (s *Sender) Open(owner Owner, send func(m any) error) {
	s.owner, s.send, s.broken, s.closed = owner, send, false, false
	s.opens++
	s.batch.message = emptyFrame
}

// Close empties the queue, and lets nothing more in. It returns the frames that were in it. The
// lock is held.
func (s *Sender) Close() (waiting []*Outgoing) {
	s.closed = true
	for o := s.next(); o != nil; o = s.next() {
		o.gone = true
		waiting = append(waiting, o)
	}
	return waiting
}

// PushLocked puts a frame into the queue. The lock is held. It returns false if the sender is
// closed. If it returns true, call [Sender.Drain] without the lock.
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

// Push puts a frame into the queue and sends what is there. It returns false if the sender is
// closed.
func (s *Sender) Push(o *Outgoing, lane Lane) bool {
	s.Lock()
	ok := s.PushLocked(o, lane)
	s.Unlock()
	s.Drain()
	return ok
}

// TakeBack takes a frame out of the queue. It returns false if the frame has left. The lock is
// held.
func (s *Sender) TakeBack(o *Outgoing) bool {
	if !o.left {
		o.gone = true
	}
	return !o.left
}

// IsQuiet reports whether no goroutine sends, and none has a reason to. The lock is held.
func (s *Sender) IsQuiet() bool { return !s.active && s.Idle() }

// Idle reports whether no frame waits, other than the one that is being sent. The lock is held.
func (s *Sender) Idle() bool {
	for i := range s.queues {
		if s.queues[i].first != nil {
			return false
		}
	}
	return true
}

// Since returns when the frame that is being sent was begun; zero if none is. The lock is held.
func (s *Sender) Since() time.Time { return s.since }

// Drain sends what is in the queue, unless another goroutine does. It does not wait for a peer that
// does not read, and does not send for others for long: then another goroutine sends.
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

// drainAll sends what is in the queue, and waits for the peer.
func (s *Sender) drainAll() {
	s.Lock()
	defer s.Unlock()
	for s.canSend() {
		s.sendSome()
	}
	s.active = false
}

// canSend reports whether a frame waits that the stream may take. What waits when the stream broke
// stays, so that [Sender.Close] returns it as what did not leave. The lock is held.
func (s *Sender) canSend() bool { return !s.Idle() && !s.closed && !s.broken }

// sendSome sends frames that wait, as many as go together, and returns how many. The lock is held,
// but for the time of SendMsg.
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

// fits reports whether a frame may travel with those that are about to leave.
func (s *Sender) fits(o *Outgoing) bool {
	n := len(s.leaving)
	return n == 0 || n < maxFrames && !o.Alone && !s.leaving[0].Alone && s.batch.sizeWith(o.Bytes) <= together
}

// next takes the next frame out of the queue; nil if there is none.
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

// back puts a frame back to where it was.
func (s *Sender) back(o *Outgoing) {
	q := &s.queues[o.lane]
	if o.next = q.first; q.first == nil {
		q.last = o
	}
	q.first = o
}
