//go:build unix

package consultest

import (
	"os"
	"syscall"
)

// Pause freezes the agent: its port is open, but nothing answers.
func (a *Agent) Pause() { a.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (a *Agent) Resume() { a.signal(syscall.SIGCONT) }

func (a *Agent) signal(s os.Signal) {
	a.tb.Helper()
	if err := a.process.cmd.Process.Signal(s); err != nil {
		a.tb.Fatalf("consultest: signal %v to the agent: %v", s, err)
	}
}

// lock waits until no other process has the file locked.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // The path is ours.
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return func() { _ = file.Close() }, nil
}
