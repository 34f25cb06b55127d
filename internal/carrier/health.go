package carrier

// Health says how likely a message to a peer is to arrive soon. The likeliest comes first.
type Health int32

// The healths.
const (
	// Ready: connected.
	Ready Health = iota
	// Idle: not connected and not known to be unreachable, because it was never tried, or was closed
	// while unused.
	Idle
	// Busy: connected, but some messages are outstanding, and nothing has come since the last one
	// was sent.
	Busy
	// Full: connected, but all streams that the peer allows are in use.
	Full
	// Connecting: the first connection is being made, or a lost one is being replaced.
	Connecting
	// Silent: the connection is up, but the peer does not answer probes. Probes go on until it
	// answers.
	Silent
	// Down: connecting failed. It is retried in the background, at growing intervals.
	Down
)

// String returns the health in a word.
func (h Health) String() string {
	return [...]string{"ready", "idle", "busy", "full", "connecting", "silent", "down"}[h]
}

// Connected reports whether a message can be sent, and the peer is believed to be there.
func (h Health) Connected() bool { return h == Ready || h == Busy || h == Full }
