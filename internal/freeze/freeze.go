//go:build unix

// Package freeze freezes processes for tests. The connections of a frozen process stay open, and
// the process answers nothing.
package freeze

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process freezes a process with SIGSTOP and returns when all its threads have stopped. It waits
// because threads stop one by one, and the process may still answer for a moment after the signal.
// SIGCONT ends the freeze. On a system without /proc, Process does not wait.
func Process(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freezing process %d: %w", p.Pid, err)
	}
	for works(p.Pid) {
		time.Sleep(time.Millisecond) // the kernel does not report when all threads have stopped
	}
	return nil
}

// works reports whether a thread of a stopping process still runs.
func works(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is well-formed
	for _, thread := range threads {
		text, err := os.ReadFile(thread)                   //nolint:gosec // It is a file of the kernel.
		_, state, found := strings.Cut(string(text), ") ") // the state follows the name, which is in parentheses
		if err != nil || !found {
			continue // the thread has ended
		}
		if !strings.ContainsAny(state[:1], "TZX") {
			return true
		}
	}
	return false
}
