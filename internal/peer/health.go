package peer

import "github.com/oslorpc/oslorpc/internal/carrier"

// Health and Key are those of the carrier.
type (
	Health = carrier.Health
	Key    = carrier.Key
)

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
