package dispatch

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// UnknownCaller is the caller of messages that name none.
const UnknownCaller = "unknown"

// OtherCallers stands for the callers that are counted together because all rows were taken.
const OtherCallers = "(others)"

// The bounds of call statistics: all rows, the rows of one caller, and how many of both refused
// messages can add. Refused messages may ask for anything, and must not displace served ones.
const (
	maxRows        = 1024
	maxOwn         = maxRows * 3 / 4
	maxRefused     = maxRows / 4
	maxRefusedOwn  = maxRefused * 3 / 4
	maxNameBytes   = 255
	maxCallerBytes = 128
)

// coarse is the resolution of the recorded time of the last message. Updating the time for each
// message would make all processors write to the same memory.
const coarse = time.Second

// asked is the key by which messages are counted: what a message asked for, and its sender.
type asked struct {
	namespace, method string
	version           rpc.Version
	// caller is the name that the sender gives itself. Identity is the first name that it proved.
	caller, identity string
}

// ask returns the key of a message. The names come from outside and may have any size and content,
// so they are clipped.
func ask(r *Request) asked {
	a := asked{clip(r.Target.Namespace, maxNameBytes), clip(r.Method, maxNameBytes), r.Version, clip(r.Caller, maxCallerBytes), clip(firstProved(r), maxNameBytes)}
	if a.caller == "" {
		a.caller = UnknownCaller
	}
	return a
}

// firstProved returns the first name that the sender of a message proved, empty if there is none.
func firstProved(r *Request) string {
	if r.Origin == nil {
		return ""
	}
	if names := r.Origin.Peer().Identity.Names; len(names) > 0 {
		return names[0]
	}
	return ""
}

// clip returns the beginning of a name. It allocates nothing unless the name is not UTF-8.
func clip(name string, size int) string {
	if len(name) > size {
		for size > 0 && !utf8.RuneStart(name[size]) {
			size--
		}
		name = name[:size]
	}
	if utf8.ValidString(name) {
		return name
	}
	return strings.ToValidUTF8(name, "?")
}

// others returns the key of the row that counts a message together with messages of other callers,
// if there is no room for a row of its own.
func (a asked) others() asked {
	a.caller = OtherCallers
	if a.identity != "" {
		a.identity = OtherCallers
	}
	return a
}

// owned returns a copy that shares no memory with the message.
func (a asked) owned() asked {
	a.namespace, a.method = strings.Clone(a.namespace), strings.Clone(a.method)
	a.caller, a.identity = strings.Clone(a.caller), strings.Clone(a.identity)
	return a
}

// row is the count of one key.
type row struct {
	accepted, refused atomic.Int64
	first             time.Time
	last              atomic.Int64 // nanoseconds since 1970
}

func (r *row) count(refused bool, now time.Time) {
	if refused {
		r.refused.Add(1)
	} else {
		r.accepted.Add(1)
	}
	if last, at := r.last.Load(), now.UnixNano(); at-last >= int64(coarse) {
		r.last.CompareAndSwap(last, at) // if another message stores its time first, that time is as good
	}
}

// callStats counts messages by what they asked for and by their callers, in bounded memory. Its
// zero value is empty.
type callStats struct {
	rows      atomic.Pointer[rows]
	uncounted atomic.Int64
	growing   sync.Mutex
}

// rows is one immutable set of rows. Adding a row makes a new set, so that counting needs no lock.
type rows struct {
	of      map[asked]*row
	refused int // the rows that refused messages made
}

// place returns the key under which a message is counted, and its row, or nil if there is no row
// yet. Ok is false if there is no room for a row.
func (s *rows) place(a asked, refused bool) (key asked, r *row, ok bool) {
	if r := s.of[a]; r != nil {
		return a, r, true
	}
	if len(s.of) < maxOwn && (!refused || s.refused < maxRefusedOwn) {
		return a, nil, true
	}
	a = a.others()
	if r := s.of[a]; r != nil {
		return a, r, true
	}
	return a, nil, len(s.of) < maxRows && (!refused || s.refused < maxRefused)
}

// count counts a message that was accepted or refused.
func (c *callStats) count(a asked, refused bool, now time.Time) {
	var r *row
	ok := true
	if s := c.rows.Load(); s != nil {
		_, r, ok = s.place(a, refused)
	}
	if ok && r == nil {
		r = c.grow(a, refused, now)
	}
	if r == nil {
		c.uncounted.Add(1)
		return
	}
	r.count(refused, now)
}

// grow returns the row for a message. It adds the row, unless another message did so in the
// meantime. It returns nil if there is no room.
func (c *callStats) grow(a asked, refused bool, now time.Time) *row {
	c.growing.Lock()
	defer c.growing.Unlock()
	grown := &rows{of: map[asked]*row{}}
	if s := c.rows.Load(); s != nil {
		key, r, ok := s.place(a, refused)
		if r != nil || !ok {
			return r
		}
		a = key
		grown.of, grown.refused = maps.Clone(s.of), s.refused
	}
	r := &row{first: now}
	r.last.Store(now.UnixNano())
	grown.of[a.owned()] = r
	if refused {
		grown.refused++
	}
	c.rows.Store(grown)
	return r
}

// RequestCount is how many messages of a caller asked for a method at a version.
type RequestCount struct {
	Namespace, Method string
	Version           rpc.Version
	Caller, Identity  string
	Accepted, Refused int64
	// First and Last are the times of the first and the last message. Last may be a second behind.
	First, Last time.Time
}

// Requests returns the counts since the dispatcher was made, ordered by namespace, method, version
// and caller. The list has at most maxRows elements. Uncounted is how many messages it leaves out.
func (d *Dispatcher) Requests() (list []RequestCount, uncounted int64) {
	state := d.stats.rows.Load()
	if state == nil {
		return nil, 0
	}
	list = make([]RequestCount, 0, len(state.of))
	for a, r := range state.of {
		list = append(list, RequestCount{
			Namespace: a.namespace, Method: a.method, Version: a.version, Caller: a.caller, Identity: a.identity,
			Accepted: r.accepted.Load(), Refused: r.refused.Load(), First: r.first, Last: time.Unix(0, r.last.Load()),
		})
	}
	slices.SortFunc(list, func(a, b RequestCount) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Method, b.Method),
			a.Version.Compare(b.Version), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Identity, b.Identity))
	})
	return list, d.stats.uncounted.Load()
}
