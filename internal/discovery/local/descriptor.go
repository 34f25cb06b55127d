//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity identifies a file and, as far as possible without reading it, its content. Each scan
// looks at every file, so the functions below use system calls, which avoids the cost of an
// os.File.
type identity struct {
	device, inode uint64
	modified      int64
	size          int64
}

func identityOf(st *unix.Stat_t) identity {
	return identity{
		device:   uint64(st.Dev), //nolint:unconvert // its type depends on the system
		inode:    uint64(st.Ino), //nolint:unconvert // as above
		modified: st.Mtim.Nano(), size: st.Size,
	}
}

func (i identity) sameFile(j identity) bool { return i.device == j.device && i.inode == j.inode }

// openFile opens a file without blocking, even if another program put a pipe there.
func openFile(path string) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func identify(fd int) (identity, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(fd, &st) })
	return identityOf(&st), err
}

// identifyPath returns the identity of the file that a path names now.
func identifyPath(path string) (identity, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Lstat(path, &st) })
	return identityOf(&st), err
}

// lock takes the exclusive lock of a file, which shows that the file's owner is alive.
func lock(fd int) error {
	return retry(func() error { return syscall.Flock(fd, syscall.LOCK_EX) })
}

// owned reports whether another process holds the exclusive lock of a file. If none does, the
// caller gets a shared lock until it closes the file. With exclusive locks, two readers would each
// take the other for the owner.
func owned(fd int) (bool, error) {
	err := retry(func() error { return syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
