//go:build unix

package host

import "syscall"

// descriptors returns how many files and connections the process may have open, or 0 if unknown.
func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > 1<<30 {
		return 0
	}
	return int(l.Cur)
}
