// Package connection has what both ends of a connection must agree on.
package connection

import "time"

// MinPing is how often a server must let clients ping it.
const MinPing = 5 * time.Second

// SizeSlack is what a message has around its payloads. gRPC's own limits are above ours by this
// much, so that a message that is too large gets our error, which says what to do and whether the
// method ran.
const SizeSlack = 1 << 20
