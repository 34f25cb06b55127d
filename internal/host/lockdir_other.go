//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package host

import "context"

// lockDirectory does nothing, because this system cannot lock directories. On this system,
// processes that start at the same time must not use the same socket.
func lockDirectory(context.Context, string) (unlock func(), err error) { return func() {}, nil }
