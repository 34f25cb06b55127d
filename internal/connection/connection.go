// Package connection has the constants on which both ends of a connection must agree.
package connection

import "time"

// MinPing is the interval of keepalive pings that a server must allow its clients. Clients must not
// ping more often.
const MinPing = 5 * time.Second

// SizeSlack is the maximum size, in bytes, of a message without its payloads. gRPC's size limits
// are this much higher than this library's. So a message that is too large gets an error of this
// library, which says what to do and whether the method ran.
const SizeSlack = 1 << 20
