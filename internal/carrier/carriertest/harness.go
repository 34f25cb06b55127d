// Package carriertest is the suite that every carrier passes: what becomes of messages, and what
// their senders learn, must not depend on what carries them.
package carriertest

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// Harness is a network of its own for one test, with carriers of one kind and the processes that
// they reach. It works in a bubble of testing/synctest, and all that it starts ends with the test.
type Harness interface {
	// Carrier returns the carrier of a process. The test closes it.
	Carrier(Config) carrier.Carrier
	// Serve has a process take messages in at an address, in place of the process that was there.
	// Until then, connecting there is refused.
	Serve(addr string, p Process)
	// Kill ends the process at an address: its connections break, and connecting is refused from
	// then on. The contexts of the calls that it runs end, as after Reset.
	Kill(addr string)
	// Reset breaks the connections to a process, which goes on and takes new ones.
	Reset(addr string)
	// Lose makes nothing arrive that is sent to or by a process, nor be refused. Find ends that:
	// what was sent meanwhile arrives.
	Lose(addr string)
	Find(addr string)
}

// Resumer is a [Harness] whose carriers may find out what became of messages with one answer when a
// connection broke.
type Resumer interface {
	Harness
	// Grace is how long methods run on then, if the process is not found again; 0 if the carriers do
	// not find out.
	Grace() time.Duration
}

// Config says what a carrier is to do.
type Config struct {
	// Caller is the name that the process gives itself; empty for none.
	Caller string
	// MaxSize bounds requests and results, and MaxHeader headers, in bytes; 0 for no bound.
	MaxSize, MaxHeader int
}

// Process is what takes messages in.
type Process struct {
	Intake *intake.Intake
	// Capacity is how many messages it takes at a time from each other process; 0 for many.
	Capacity int
}
