//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPause is the pause between attempts to get a lock.
const lockPause = 100 * time.Millisecond

// lock creates a file and locks it, and waits while another process has the lock. The lock lasts
// until the file is closed, or the program ends. If it has to wait, it calls waits.
func lock(ctx context.Context, path string, waits func()) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // that is what the operator said
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, file.Close())
		case attempt == 0:
			waits()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(lockPause):
		}
	}
}
