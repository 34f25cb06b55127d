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
	// verifyTime is how long an instance has to answer the question whether it runs.
	verifyTime = 2 * time.Second
	// verifying is the maximum number of instances of a topic that are asked at a time.
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

// verify asks instances that vanished from the registry whether they run, and records the answers.
// A stopping instance must not be used until its connection ends, which may be much later: its
// process may have other servers, or unfinished messages. An instance that runs is kept, even if
// the registry does not list it. The lock is held.
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

// prove pings instances that did not prove their names. If a ping succeeds, the instance has proved
// its name. The lock is held.
func (t *Topic) prove(doubtful []*member) {
	t.askAll(doubtful, func(e *route.Entry, err error) {
		if err == nil {
			t.Proved(e)
		}
	})
}

// askAll pings instances in the background, and calls told with the outcome of each ping. The lock
// is held.
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

// there records that a missing instance confirmed that it runs.
func (t *Topic) there(e *route.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.members[idOf(e.Instance)]; m != nil && m.missing() {
		m.there = true
	}
}

// ask pings an instance through its process. It returns nil if the instance runs.
func ask(ctx context.Context, e *route.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	if err := e.Link.Enter(ctx, verifyTime); err != nil {
		return err
	}
	defer e.Link.Release()
	return e.Link.Ping(ctx, identity.Server{Exchange: e.Exchange, Topic: e.Topic, Name: e.Server}, e.ID)
}
