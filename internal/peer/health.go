package peer

import "github.com/oslorpc/oslorpc/internal/carrier"

// Health is the health of a link.
type Health = carrier.Health

// Key identifies a remote process.
type Key = carrier.Key

// The healths.
const (
	Ready      = carrier.Ready
	Idle       = carrier.Idle
	Busy       = carrier.Busy
	Full       = carrier.Full
	Connecting = carrier.Connecting
	Silent     = carrier.Silent
	Down       = carrier.Down
)
