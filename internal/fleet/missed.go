package fleet

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The bounds of the record: how many recipients, and for how long. If there are more, the oldest
// are dropped: the record is only a hint, and old hints are worth least.
const (
	maxMissed  = 4096
	missedTime = time.Hour
)

// Missed records which servers missed a message, because this process failed to deliver it, until a
// later message tells them. The zero value is empty. It is safe for concurrent use.
type Missed struct {
	count   atomic.Int64 // how many records there are; while it is 0, messages take no lock
	mu      sync.Mutex
	records map[recipient]*list.Element
	order   list.List // of *missed, the oldest first
}

// recipient is the intended receiver of a message: an instance, or any instance with a server name.
// A static address has no id.
type recipient struct {
	topic          registry.Topic
	server         string
	instance, addr string // empty for a server name
}

// missed is the time of the last message that a recipient missed. The time of the first one would
// mislead: a server that started after the first and missed the last would conclude that it was not
// running yet.
type missed struct {
	recipient recipient
	at        time.Time
}

func instanceOf(e *route.Entry) recipient {
	r := recipient{topic: registry.Topic{Exchange: e.Exchange, Name: e.Topic}, instance: e.ID}
	if e.ID == "" {
		r.server, r.addr = e.Server, e.Addr
	}
	return r
}

func serverOf(e *route.Entry) recipient {
	return recipient{topic: registry.Topic{Exchange: e.Exchange, Name: e.Topic}, server: e.Server}
}

// Instance records that an instance missed a message.
func (m *Missed) Instance(e *route.Entry) { m.add(instanceOf(e)) }

// Server records that an instance with a server name missed a message. Several instances may have
// the name, and the message was meant for one of them.
func (m *Missed) Server(topic registry.Topic, name string) {
	m.add(recipient{topic: topic, server: name})
}

func (m *Missed) add(r recipient) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if known := m.records[r]; known != nil {
		m.remove(known)
	}
	m.expire(now)
	if m.order.Len() >= maxMissed {
		m.remove(m.order.Front())
	}
	if m.records == nil {
		m.records = map[recipient]*list.Element{}
	}
	m.records[r] = m.order.PushBack(&missed{r, now})
	m.count.Store(int64(m.order.Len()))
}

// expire drops the records that are too old. The lock is held.
func (m *Missed) expire(now time.Time) {
	for oldest := m.order.Front(); oldest != nil && now.Sub(oldest.Value.(*missed).at) > missedTime; oldest = m.order.Front() {
		m.remove(oldest)
	}
}

// remove drops a record. The lock is held.
func (m *Missed) remove(e *list.Element) {
	delete(m.records, m.order.Remove(e).(*missed).recipient)
	m.count.Store(int64(m.order.Len()))
}

// Hint is what a message tells an instance about earlier messages that it missed. The zero value
// tells nothing.
type Hint struct {
	// Ago is how long ago the last of these messages failed; 0 if none failed.
	Ago time.Duration

	from  *Missed
	tells [2]*list.Element // the records for the instance and for its server name; either may be nil
}

// Hint returns the hint for an instance. Until [Hint.Settle] is called, every message to the
// instance has the hint.
func (m *Missed) Hint(e *route.Entry) Hint {
	if m.count.Load() == 0 {
		return Hint{}
	}
	return m.hint(e)
}

func (m *Missed) hint(e *route.Entry) Hint {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expire(now)
	h := Hint{from: m, tells: [2]*list.Element{m.records[instanceOf(e)], m.records[serverOf(e)]}}
	var last time.Time
	for _, record := range h.tells {
		if record == nil {
			continue
		}
		if at := record.Value.(*missed).at; at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return Hint{}
	}
	h.Ago = max(now.Sub(last), 1) // 0 would mean that none failed
	return h
}

// Settle deletes the records behind the hint if the instance has received it. Err is the error of
// the message that had the hint. Records of messages that failed in the meantime stay.
func (h Hint) Settle(err error) {
	if h.Ago == 0 || (err != nil && !answered(err)) {
		return
	}
	m := h.from
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, record := range h.tells {
		if record != nil && m.records[record.Value.(*missed).recipient] == record {
			m.remove(record)
		}
	}
}

// answered reports whether an error shows that the server received the hint: it must name a server,
// which only errors of the intended server do. If an interceptor of the server refused the message,
// the server did not see the hint.
func answered(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Server == "" {
		return false
	}
	denied := e.Kind == rpc.AccessDenied && e.NotStarted
	return !denied && !errors.Is(e, refusal.Declined)
}
