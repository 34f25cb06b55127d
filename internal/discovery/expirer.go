package discovery

import "time"

// Expirer is implemented by registries in which the registration of a process that died expires.
type Expirer interface {
	// Expiry returns how long that takes at most, for processes that use the same transport URL.
	Expiry() time.Duration
}
