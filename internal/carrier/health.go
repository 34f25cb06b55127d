package carrier

// Health says how likely a message sent to a peer is to arrive soon, the likeliest first.
type Health int32

// The healths.
const (
	// Ready: connected.
	Ready Health = iota
	// Idle: not connected, and not known to be unreachable: never tried, or closed while it was not
	// used.
	Idle
	// Busy: connected, but some messages are outstanding, and nothing has come since the last one
	// was sent.
	Busy
	// Full: connected, but all streams that the peer allows are in use.
	Full
	// Connecting: being connected for the first time, or again after a connection was lost.
	Connecting
	// Silent: the connection is up, and the peer does not answer a probe. It is probed until it
	// answers.
	Silent
	// Down: connecting failed; it is tried again in the background, at growing intervals.
	Down
)

// String returns the health in a word.
func (h Health) String() string {
	return [...]string{"ready", "idle", "busy", "full", "connecting", "silent", "down"}[h]
}

// Connected reports whether a message can be sent, and the peer is believed to be there.
func (h Health) Connected() bool { return h == Ready || h == Busy || h == Full }
