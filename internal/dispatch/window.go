package dispatch

import (
	"hash/maphash"
	"time"
)

// The bounds of a window of message ids: how many ids per sender, at first and at most, for how
// long, and for how many senders. A repeat comes within seconds, from a retry in a lower layer.
// Oslo.messaging remembers 16 messages. A window begins small, because most senders of a large
// fleet send little.
const (
	windowSize  = 1 << 14
	windowStart = 1 << 6
	windowTime  = 2 * time.Minute
	maxSenders  = 1 << 10
)

// windows are the windows of a server, one for each identity that sends to it, so that no sender
// can make the server forget or refuse the messages of another. All senders without a proved
// identity share one window. The dispatcher's lock guards them.
type windows map[string]*window

// of returns the window of a sender.
func (all windows) of(sender string, now time.Time) *window {
	w := all[sender]
	if w == nil {
		all.makeRoom(now)
		w = newWindow()
		all[sender] = w
	}
	return w
}

// makeRoom bounds the number of senders. It removes senders that were silent for the duration of a
// window. If there are none, it removes the sender that has been silent longest.
func (all windows) makeRoom(now time.Time) {
	if len(all) < maxSenders {
		return
	}
	quietest, since := "", time.Duration(-1)
	for sender, w := range all {
		silent := now.Sub(w.last)
		if silent > windowTime {
			delete(all, sender)
		} else if silent > since {
			quietest, since = sender, silent
		}
	}
	if len(all) >= maxSenders {
		delete(all, quietest)
	}
}

// window remembers the ids of recent messages, to detect repeats. It keeps hashes with a random
// seed, because ids come from the network, and because the garbage collector need not scan memory
// without pointers. The dispatcher's lock guards it.
//
// It is a ring of sightings in the order of arrival. The sightings are also a hash table: those
// with equal hash bits are chained. A map would take five times as long, because each message adds
// an id and removes one.
type window struct {
	seed   maphash.Seed
	start  time.Time
	newest []link     // the first sighting of each chain; there are twice as many chains as sightings, so most are short
	ring   []sighting // from head on; its size is a power of two
	head   int
	count  int
	last   time.Time // of the last add
}

// link is the place of a sighting in the ring plus 1; 0 for none.
type link uint16

type sighting struct {
	hash  uint64
	at    time.Duration // since the start of the window
	older link          // in its chain
	known bool          // it is in its chain; false once it was forgotten
}

func newWindow() *window {
	w := &window{seed: maphash.MakeSeed(), start: time.Now()}
	w.grow()
	return w
}

// add remembers id, and reports whether it is new. A message without an id is always new.
func (w *window) add(id string, now time.Time) bool {
	if id == "" {
		return true
	}
	at := now.Sub(w.start)
	w.last = now
	w.expire(at)
	hash := maphash.String(w.seed, id)
	if *w.find(hash) != 0 {
		return false
	}
	switch {
	case w.count < len(w.ring):
	case w.count < windowSize:
		w.grow()
	default:
		w.drop()
	}
	place := w.place(w.count)
	w.ring[place] = sighting{hash: hash, at: at}
	w.link(place)
	w.count++
	return true
}

// grow doubles the ring.
func (w *window) grow() {
	old := *w
	w.ring, w.head = make([]sighting, max(2*len(old.ring), windowStart)), 0
	w.newest = make([]link, 2*len(w.ring))
	for n := range w.count {
		w.ring[n] = old.ring[old.place(n)]
		if w.ring[n].known {
			w.link(n)
		}
	}
}

// forget undoes add for a message that then did not start: it may be sent again. If it was added
// last, it leaves the ring as well, so that messages that a full server refuses do not displace
// accepted ones.
func (w *window) forget(id string) {
	if id == "" {
		return
	}
	hash := maphash.String(w.seed, id)
	w.unlink(w.find(hash))
	if w.count > 0 && w.ring[w.place(w.count-1)].hash == hash {
		w.count--
	}
}

func (w *window) expire(now time.Duration) {
	for w.count > 0 && now-w.ring[w.head].at > windowTime {
		w.drop()
	}
}

// drop forgets the oldest sighting.
func (w *window) drop() {
	if oldest := &w.ring[w.head]; oldest.known {
		w.unlink(w.find(oldest.hash))
	}
	w.head = w.place(1)
	w.count--
}

// chain returns where the chain of a hash begins.
func (w *window) chain(hash uint64) *link {
	return &w.newest[hash&uint64(len(w.newest)-1)] //nolint:gosec // No length is negative.
}

// find returns the link to the known sighting of a hash, or the empty one at the end of its chain.
func (w *window) find(hash uint64) *link {
	l := w.chain(hash)
	for *l != 0 && w.ring[*l-1].hash != hash {
		l = &w.ring[*l-1].older
	}
	return l
}

// link puts a sighting into its chain.
func (w *window) link(place int) {
	s := &w.ring[place]
	first := w.chain(s.hash)
	s.older, s.known = *first, true
	*first = link(place + 1) //nolint:gosec // A place is less than windowSize.
}

// unlink removes the sighting that a link leads to, if any, from its chain.
func (w *window) unlink(l *link) {
	if *l != 0 {
		s := &w.ring[*l-1]
		*l, s.known = s.older, false
	}
}

// place returns where the nth sighting is in the ring.
func (w *window) place(n int) int { return (w.head + n) & (len(w.ring) - 1) }
