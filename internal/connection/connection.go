// Package connection has the constants on which both ends of a connection must agree.
package connection

import "time"

// MinPing is the minimum interval at which a server must allow pings of clients.
const MinPing = 5 * time.Second

// SizeSlack is the maximum size of a message besides its payloads. gRPC's own limits exceed ours by
// this much. So a message that is too large gets our error, which says what to do and whether the
// method ran.
const SizeSlack = 1 << 20
