//go:build unix

package consultest

import (
	"os"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/freeze"
)

// Pause freezes the agent and returns when it is frozen: its port is open, but the agent answers
// nothing.
func (a *Agent) Pause() {
	a.tb.Helper()
	if err := freeze.Process(a.process.cmd.Process); err != nil {
		a.tb.Fatalf("consultest: %v", err)
	}
}

// Resume ends a Pause.
func (a *Agent) Resume() { a.signal(syscall.SIGCONT) }

func (a *Agent) signal(s os.Signal) {
	a.tb.Helper()
	if err := a.process.cmd.Process.Signal(s); err != nil {
		a.tb.Fatalf("consultest: signal %v to the agent: %v", s, err)
	}
}
