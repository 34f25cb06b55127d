//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// lockPatience bounds the wait for the lock of a directory, which is only held for
	// milliseconds.
	lockPatience = 5 * time.Second
	lockPause    = 5 * time.Millisecond
)

// lockDirectory waits until no other process has a directory locked, and locks it until unlock is
// called. The lock also ends with the process.
func lockDirectory(ctx context.Context, dir string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	file, err := os.Open(dir) //nolint:gosec // The user names the directory.
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = file.Close() }, nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EWOULDBLOCK):
		default:
			_ = file.Close() // the other error counts
			return nil, fmt.Errorf("cannot lock the directory %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close() // the other error counts
			return nil, fmt.Errorf("another process keeps the directory %s locked: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
}
