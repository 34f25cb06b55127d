package interception

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// point is a place where an interceptor or the method sees a message.
type point string

const (
	send    point = "send"
	attempt point = "attempt"
	accept  point = "accept"
	run     point = "run"
	method  point = "method"
)

// event is one message at one point.
type event struct {
	point point
	// process is the name of the server, or "client".
	process string
	// message is the message when it entered the point. peer has the known facts about the other
	// end when the message left the point.
	message rpc.Message
	peer    rpc.Peer
	// began and ended are sequence numbers over all events. ended is 0 until the message leaves the
	// point.
	began, ended int
	err          error
	// user is the sender's name in the context. deadline is the deadline of the context, or zero.
	user     string
	deadline time.Time
}

// journal records what all processes of a fleet saw. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	changed chan struct{}
	clock   int
	events  []*event
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

// begin records that a message entered a point. It returns a function that records that the message
// left.
func (j *journal) begin(ctx context.Context, at point, process string, m *rpc.Message) (end func(error)) {
	user, _ := ctx.Value(userKey{}).(string)
	e := &event{point: at, process: process, message: copyOf(m), user: user}
	e.deadline, _ = ctx.Deadline()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock++
	e.began = j.clock
	j.events = append(j.events, e)
	j.tell()
	return func(err error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.clock++
		e.ended, e.err, e.peer = j.clock, err, m.Peer
		j.tell()
	}
}

func copyOf(m *rpc.Message) rpc.Message {
	copied := *m
	copied.Metadata = maps.Clone(m.Metadata)
	return copied
}

func (j *journal) tell() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// take returns the events of a point, ordered by process and time.
func (j *journal) take(at point) (list []event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.events {
		if e.point == at {
			list = append(list, *e)
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return strings.Compare(a.process, b.process) })
	return list
}

// reset removes all events.
func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = nil
}

const patience = 10 * time.Second

// await waits until n messages have left a point.
func (j *journal) await(t *testing.T, at point, n int) []event {
	t.Helper()
	return j.awaitThat(t, at, n, func(e event) bool { return e.ended > 0 })
}

// awaitThat waits until something is true of n messages at a point.
func (j *journal) awaitThat(t *testing.T, at point, n int, is func(event) bool) []event {
	t.Helper()
	late := time.After(patience)
	for {
		j.mu.Lock()
		changed := j.changed
		j.mu.Unlock()
		list := j.take(at)
		left := slices.DeleteFunc(slices.Clone(list), func(e event) bool { return !is(e) })
		if len(left) >= n {
			return list
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%d messages of %d left the point %s", len(left), n, at)
		}
	}
}

// interceptor returns an interceptor that records what a process sees.
func (j *journal) interceptor(process string) oslorpc.Interceptor {
	around := func(at point) func(context.Context, *rpc.Message, rpc.Next) error {
		return func(ctx context.Context, m *rpc.Message, next rpc.Next) (err error) {
			end := j.begin(ctx, at, process, m)
			defer func() { end(err) }()
			return next(ctx)
		}
	}
	return oslorpc.Interceptor{
		Send: around(send), Attempt: around(attempt), Run: around(run),
		Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
			j.begin(ctx, accept, process, m)(nil)
			return ctx, nil
		},
	}
}
