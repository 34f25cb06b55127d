// Package phase defines the life cycle of a server. The phase determines which messages the server
// accepts and runs, what it publishes in discovery, and what its health is.
package phase

// Phase is a stage in the life of a server. A server passes through the stages in this order; only
// Held, Active and Draining may alternate.
type Phase uint8

// These are the phases.
const (
	// New servers are not reachable yet.
	New Phase = iota
	// Held servers queue messages and run none. Messages for any server of a topic avoid them.
	Held
	// Active servers accept all messages.
	Active
	// Draining servers accept only messages that name them. Such a server may be held, too.
	Draining
	// Leaving servers are withdrawn from discovery. They still accept messages, since some senders
	// do not know yet.
	Leaving
	// Stopping servers refuse messages and finish the ones that they accepted.
	Stopping
	// Stopped servers have finished all messages.
	Stopped
)

// String returns the name of the phase in lower case.
func (p Phase) String() string {
	return [...]string{"new", "held", "active", "draining", "leaving", "stopping", "stopped"}[p]
}

// IsAnnounced reports whether discovery lists a server in this phase.
func (p Phase) IsAnnounced() bool { return Held <= p && p <= Draining }

// TakesAny reports whether messages that name no server should go to a server in this phase. If it
// is false, they go to another server if there is one.
func (p Phase) TakesAny() bool { return p == Active }

// Refuses reports whether a server in this phase refuses all messages.
func (p Phase) Refuses() bool { return p >= Stopping }

// IsEnding reports whether the stop of the server has begun.
func (p Phase) IsEnding() bool { return p >= Leaving }
