package phase

import (
	"context"
	"sync"
	"sync/atomic"
)

// Machine has the phase of one server, from one start to the end of its stop. It is safe for
// concurrent use. Reading takes no lock.
type Machine struct {
	now atomic.Pointer[state]

	// mu guards changes. No other lock is taken while it is held.
	mu       sync.Mutex
	serving  context.Context //nolint:containedctx // It is the server's own.
	leave    context.CancelFunc
	refusing chan struct{}
	stopped  chan struct{}
}

// state is what a server was told. It is immutable.
type state struct {
	stage Phase // New, Active, Leaving, Stopping or Stopped
	// held, stalled and draining refine the stage.
	held, stalled, draining bool
}

// NewMachine returns the machine of a server that starts.
func NewMachine() *Machine {
	m := &Machine{refusing: make(chan struct{}), stopped: make(chan struct{})}
	m.serving, m.leave = context.WithCancel(context.Background())
	m.now.Store(&state{stage: New})
	return m
}

// Opened returns the machine of a server that is active.
func Opened() *Machine {
	m := NewMachine()
	m.Open(false)
	return m
}

// Phase returns the phase of this moment.
func (m *Machine) Phase() Phase {
	switch s := m.now.Load(); {
	case s.stage != Active:
		return s.stage
	case s.draining: // this says more: a held server still takes messages for any server if there is no other
		return Draining
	case s.held:
		return Held
	default:
		return Active
	}
}

// Holds reports whether the server runs none of the messages that it accepts.
func (m *Machine) Holds() bool {
	s := m.now.Load()
	return (s.held || s.stalled) && !s.stage.Refuses()
}

// Serving returns a context that ends when the stop of the server begins.
func (m *Machine) Serving() context.Context { return m.serving }

// Refusing returns a channel that is closed when the server begins to refuse messages.
func (m *Machine) Refusing() <-chan struct{} { return m.refusing }

// Stopped returns a channel that is closed when the server has stopped.
func (m *Machine) Stopped() <-chan struct{} { return m.stopped }

// Open makes a new server reachable. It is held, or active.
func (m *Machine) Open(held bool) {
	m.change(func(s *state) {
		if s.stage == New {
			s.stage, s.held = Active, held
		}
	})
}

// Release ends the hold, and the stall.
func (m *Machine) Release() { m.change(func(s *state) { s.held, s.stalled = false, false }) }

// Stall has the server run nothing until Release, as Held does, and does not show in its phase.
// Tests use it for a server that is stuck.
func (m *Machine) Stall() { m.change(func(s *state) { s.stalled = true }) }

// Drain has the server take only messages that name it, until Resume.
func (m *Machine) Drain() { m.change(func(s *state) { s.draining = true }) }

// Resume ends Drain.
func (m *Machine) Resume() { m.change(func(s *state) { s.draining = false }) }

// Leave begins the stop. It reports whether that is news.
func (m *Machine) Leave() bool { return m.advance(Leaving) }

// Refuse has the server refuse messages from now on. What is held begins to run.
func (m *Machine) Refuse() bool { return m.advance(Stopping) }

// End says that the server has stopped. It reports whether that is news.
func (m *Machine) End() bool { return m.advance(Stopped) }

// advance enters a stage of the stop, unless the server is as far already.
func (m *Machine) advance(to Phase) (news bool) {
	m.change(func(s *state) {
		if news = s.stage < to; news {
			s.stage = to
		}
	})
	return news
}

// change changes the state, and then wakes the goroutines that wait for its stage.
func (m *Machine) change(f func(*state)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.now.Load().stage
	after := *m.now.Load()
	f(&after)
	m.now.Store(&after)
	reaches := func(stage Phase) bool { return before < stage && after.stage >= stage }
	if reaches(Leaving) {
		m.leave()
	}
	if reaches(Stopping) {
		close(m.refusing)
	}
	if reaches(Stopped) {
		close(m.stopped)
	}
}
