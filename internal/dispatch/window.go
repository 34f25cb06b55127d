package dispatch

import (
	"hash/maphash"
	"time"
)

// The window of message ids: how many it holds of each sender, and for how long. A repeat comes
// from a retry below us within seconds; upstream remembers 16 messages. A window begins small,
// since most senders of a large fleet send little.
const (
	windowSize  = 1 << 14
	windowStart = 1 << 6
	windowTime  = 2 * time.Minute
	maxSenders  = 1 << 10
)

// windows are the windows of a server, one for each identity that sends to it, so that no sender
// can make the server forget or refuse the messages of another. All senders that prove no identity
// share one. It has no lock of its own.
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

// makeRoom keeps the number of senders bounded. It removes those that are silent for the time of a
// window, and if that is none, the one that is silent for the longest time.
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

// window remembers the ids of recent messages, so that one that comes twice is known. It keeps
// hashes with a random seed: ids come from the network, and 16 bytes without a pointer cost the
// garbage collector nothing. It has no lock of its own.
type window struct {
	seed  maphash.Seed
	start time.Time
	seen  map[uint64]int // hash -> its place in ring
	ring  []sighting     // in the order of arrival, from head on
	head  int
	count int
	last  time.Time // of the last add
}

type sighting struct {
	hash uint64
	at   time.Duration // since the start of the window
}

func newWindow() *window {
	return &window{seed: maphash.MakeSeed(), start: time.Now(), seen: map[uint64]int{}}
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
	if _, repeated := w.seen[hash]; repeated {
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
	w.ring[place] = sighting{hash, at}
	w.seen[hash] = place
	w.count++
	return true
}

// grow doubles the ring.
func (w *window) grow() {
	ring := make([]sighting, max(2*len(w.ring), windowStart))
	for n := range w.count {
		from := w.place(n)
		ring[n] = w.ring[from]
		if place, ok := w.seen[ring[n].hash]; ok && place == from {
			w.seen[ring[n].hash] = n
		}
	}
	w.ring, w.head = ring, 0
}

// forget takes back what add remembered, for a message that then did not start: it may come again.
// The one that was added last leaves the ring as well, so that what a full server refuses does not
// drive out what it accepted.
func (w *window) forget(id string) {
	if id == "" {
		return
	}
	hash := maphash.String(w.seed, id)
	delete(w.seen, hash)
	if w.count > 0 && w.ring[w.place(w.count-1)].hash == hash {
		w.count--
	}
}

func (w *window) expire(now time.Duration) {
	for w.count > 0 && now-w.ring[w.head].at > windowTime {
		w.drop()
	}
}

// drop forgets the oldest sighting, unless its id was forgotten and seen again since.
func (w *window) drop() {
	hash := w.ring[w.head].hash
	if place, ok := w.seen[hash]; ok && place == w.head {
		delete(w.seen, hash)
	}
	w.head = w.place(1)
	w.count--
}

// place returns where the nth sighting is in the ring.
func (w *window) place(n int) int { return (w.head + n) % len(w.ring) }
