// Package phase tells how far a server is in its life. What the server accepts, runs and
// announces, and what it answers to questions, derives from its phase.
package phase

// Phase is a stage in the life of a server. A server passes through the stages in this order; only
// Held, Active and Draining may alternate.
type Phase uint8

// The phases.
const (
	// New servers are not reachable yet.
	New Phase = iota
	// Held servers accept messages into their queue and run none. Messages for any server avoid
	// them.
	Held
	// Active servers take everything.
	Active
	// Draining servers take only messages that name them. Such a server may be held, too.
	Draining
	// Leaving servers are withdrawn from discovery. They still accept messages, since not all
	// senders know yet.
	Leaving
	// Stopping servers refuse messages and finish what they accepted.
	Stopping
	// Stopped servers have finished.
	Stopped
)

// String returns the name of the phase in lower case.
func (p Phase) String() string {
	return [...]string{"new", "held", "active", "draining", "leaving", "stopping", "stopped"}[p]
}

// IsAnnounced reports whether discovery lists a server in this phase.
func (p Phase) IsAnnounced() bool { return Held <= p && p <= Draining }

// TakesAny reports whether messages for any server may come to a server in this phase while there
// is another.
func (p Phase) TakesAny() bool { return p == Active }

// Refuses reports whether a server in this phase refuses all messages.
func (p Phase) Refuses() bool { return p >= Stopping }

// IsEnding reports whether the stop of the server has begun.
func (p Phase) IsEnding() bool { return p >= Leaving }
