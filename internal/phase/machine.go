package phase

import (
	"context"
	"sync"
	"sync/atomic"
)

// Machine keeps the phase of one server, from its start to the end of its stop. It is safe for
// concurrent use. Reads take no lock.
type Machine struct {
	now atomic.Pointer[state]

	// mu guards changes. No other lock is taken while mu is held.
	mu       sync.Mutex
	serving  context.Context //nolint:containedctx // It is the server's own.
	leave    context.CancelFunc
	refusing chan struct{}
	stopped  chan struct{}
}

// state is the internal state of a server. It is immutable.
type state struct {
	stage Phase // New, Active, Leaving, Stopping or Stopped
	// held, stalled and draining refine the stage.
	held, stalled, draining bool
}

// NewMachine returns the machine of a starting server.
func NewMachine() *Machine {
	m := &Machine{refusing: make(chan struct{}), stopped: make(chan struct{})}
	m.serving, m.leave = context.WithCancel(context.Background())
	m.now.Store(&state{stage: New})
	return m
}

// Opened returns the machine of an active server.
func Opened() *Machine {
	m := NewMachine()
	m.Open(false)
	return m
}

// Phase returns the current phase.
func (m *Machine) Phase() Phase {
	switch s := m.now.Load(); {
	case s.stage != Active:
		return s.stage
	case s.draining: // draining has precedence: a held server still accepts messages that name no server
		return Draining
	case s.held:
		return Held
	default:
		return Active
	}
}

// Holds reports whether the server keeps accepted messages in its queue and runs none.
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

// Open makes a new server reachable, as held or active.
func (m *Machine) Open(held bool) {
	m.change(func(s *state) {
		if s.stage == New {
			s.stage, s.held = Active, held
		}
	})
}

// Release ends a hold, and undoes Stall.
func (m *Machine) Release() { m.change(func(s *state) { s.held, s.stalled = false, false }) }

// Stall makes the server run no messages until Release, as a hold does, but without a change of the
// phase. Tests use it to simulate a server that is stuck.
func (m *Machine) Stall() { m.change(func(s *state) { s.stalled = true }) }

// Drain makes the server accept only messages that name it, until Resume.
func (m *Machine) Drain() { m.change(func(s *state) { s.draining = true }) }

// Resume ends Drain.
func (m *Machine) Resume() { m.change(func(s *state) { s.draining = false }) }

// Leave begins the stop. It returns false if the stop had begun before.
func (m *Machine) Leave() bool { return m.advance(Leaving) }

// Refuse makes the server refuse messages from now on. Held messages begin to run.
func (m *Machine) Refuse() bool { return m.advance(Stopping) }

// End records that the server has stopped. It returns false if End was called before.
func (m *Machine) End() bool { return m.advance(Stopped) }

// advance enters a stage of the stop. It returns false if the server had reached the stage before.
func (m *Machine) advance(to Phase) (news bool) {
	m.change(func(s *state) {
		if news = s.stage < to; news {
			s.stage = to
		}
	})
	return news
}

// change changes the state, and then wakes the goroutines that wait for the new stage.
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
