package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
)

const (
	// verifyTime is how long an instance has to say whether it is there.
	verifyTime = 2 * time.Second
	// verifying bounds how many instances of a topic are asked at a time.
	verifying = 16
)

// vanished returns the instances that vanished at a certain time and are still connected: they are
// stopping, or the registry lost them.
func (ms members) vanished(at time.Time) []*member {
	var list []*member
	for _, m := range ms {
		if m.since.Equal(at) && !m.left && m.entry.ID != "" && m.entry.Link.Health().Connected() {
			list = append(list, m)
		}
	}
	return list
}

// verify asks instances whether they are there. A stopping instance must not count until its
// connection ends, which may be long after: its process may have other servers, or unfinished
// messages. An instance that is there is kept, whatever the registry says. The lock is held.
func (t *Topic) verify(vanished []*member) {
	t.askAll(vanished, func(e *route.Entry, err error) {
		switch {
		case err == nil:
			t.there(e)
		case refusal.Gone(err):
			t.Gone(e)
		}
	})
}

// prove asks instances that did not prove their names whether they can now. The lock is held.
func (t *Topic) prove(doubtful []*member) {
	t.askAll(doubtful, func(e *route.Entry, err error) {
		if err == nil {
			t.Proved(e)
		}
	})
}

// askAll asks instances whether they are there, and calls told with each answer. The lock is held.
func (t *Topic) askAll(members []*member, told func(*route.Entry, error)) {
	if len(members) == 0 || t.life.Err() != nil {
		return
	}
	list := make([]*route.Entry, len(members))
	for i, m := range members {
		list[i] = m.entry
	}
	t.asking.Go(func() {
		var asked sync.WaitGroup
		slots := make(chan struct{}, verifying)
		for _, e := range list {
			slots <- struct{}{}
			asked.Go(func() {
				defer func() { <-slots }()
				told(e, ask(t.life, e))
			})
		}
		asked.Wait()
	})
}

// there records that an instance said that it runs.
func (t *Topic) there(e *route.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.members[idOf(e.Instance)]; m != nil && m.missing() {
		m.there = true
	}
}

// ask asks an instance whether it is there, and returns its error.
func ask(ctx context.Context, e *route.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	if err := e.Link.Enter(ctx, verifyTime); err != nil {
		return err
	}
	defer e.Link.Release()
	return e.Link.Ping(ctx, identity.Server{Exchange: e.Exchange, Topic: e.Topic, Name: e.Server}, e.ID)
}
