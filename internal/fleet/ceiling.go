package fleet

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxFollowed bounds the interfaces whose ceilings are followed.
const maxFollowed = 64

// ceilingAge is a ceiling and the time of its last change.
type ceilingAge struct {
	state   route.CeilingState
	version rpc.Version
	since   time.Time
}

// Follow returns when the ceiling of an interface got its present value, as far as this process
// knows: it observes the ceiling from the first call on. It follows at most maxFollowed interfaces.
// For others, it returns the time of the call.
func (t *Topic) Follow(i route.Interface) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.ceilings[i]; ok {
		return h.since
	}
	now := time.Now()
	if view := t.view.Load(); view != nil && len(t.ceilings) < maxFollowed {
		t.ceilings[i] = ceilingNow(view, i, now)
	}
	return now
}

func ceilingNow(view *route.View, i route.Interface, now time.Time) ceilingAge {
	c := view.Ceiling(i, "")
	return ceilingAge{c.State, c.Version, now}
}

// follow updates the followed ceilings from a new view. The lock is held.
func (t *Topic) follow(view *route.View, now time.Time) {
	for i, before := range t.ceilings {
		if h := ceilingNow(view, i, now); h.state != before.state || h.version != before.version {
			t.ceilings[i] = h
		}
	}
}
