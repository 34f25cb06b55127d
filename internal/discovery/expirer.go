package discovery

import "time"

// Expirer is implemented by registries in which the registration of a process that died expires.
type Expirer interface {
	// Expiry returns the maximum time from the death of a process until its registration expires,
	// for processes that use the same transport URL.
	Expiry() time.Duration
}
