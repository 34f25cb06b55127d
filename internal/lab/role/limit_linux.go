//go:build linux

package role

import "syscall"

// limitDescriptors bounds how many files and connections this process may have open.
func limitDescriptors(n uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n})
}
