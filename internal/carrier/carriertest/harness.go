// Package carriertest is the test suite that every carrier must pass. The outcome of a message, and
// what its sender learns about the outcome, must not depend on the carrier.
package carriertest

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// Harness is a separate network for one test, with carriers of one kind and the processes that they
// reach. A harness works in a bubble of testing/synctest. Everything that it starts ends with the
// test.
type Harness interface {
	// Carrier returns the carrier of a process. The test closes it.
	Carrier(Config) carrier.Carrier
	// Serve makes a process accept messages at an address and replaces the process that was there.
	// Before the first Serve, the address refuses connections.
	Serve(addr string, p Process)
	// Kill ends the process at an address. Its connections break, and the address refuses
	// connections from then on. The contexts of the calls that the process runs end, as after
	// Reset.
	Kill(addr string)
	// Reset breaks the connections to a process. The process goes on and accepts new connections.
	Reset(addr string)
	// Lose cuts off a process: what is sent to it or by it does not arrive, and nothing is refused.
	// Find restores the connection, and what was sent meanwhile arrives.
	Lose(addr string)
	Find(addr string)
}

// Resumer is a [Harness] whose carriers may ask for the outcome of a message with a single answer
// after its connection broke.
type Resumer interface {
	Harness
	// Grace returns how long a method goes on if the client does not reach the process again, or 0
	// if the carriers do not ask for outcomes.
	Grace() time.Duration
}

// Config configures a carrier.
type Config struct {
	// Caller is the name that the process gives for itself, or empty for no name.
	Caller string
	// MaxSize limits requests and results, and MaxHeader limits headers, in bytes. 0 means no
	// limit.
	MaxSize, MaxHeader int
}

// Process is a process that accepts messages.
type Process struct {
	Intake *intake.Intake
	// Capacity is how many messages the process accepts from each other process at a time. 0 means
	// many.
	Capacity int
}
