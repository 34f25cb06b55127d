//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// ensure creates the directory if it does not exist, and verifies it.
func ensure(dir string) error {
	err := os.Mkdir(dir, 0o700) //nolint:gosec // the user names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(dir, "cannot be created, since the directory above it does not exist: create that, or name another one")
	case err != nil && !errors.Is(err, fs.ErrExist):
		return unreachable(dir, "cannot create the directory: create it yourself with mode 0700, or name another one", err)
	}
	_, err = verify(dir)
	return err
}

// verify returns the description of the directory, or an error if other users may access it. A
// program that can create files there could receive messages for this user's servers, with their
// contexts.
func verify(dir string) (fs.FileInfo, error) {
	info, err := os.Lstat(dir) //nolint:gosec // the user names it
	if err != nil {
		return nil, unreachable(dir, "cannot look at the directory", err)
	}
	owner := int64(info.Sys().(*syscall.Stat_t).Uid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, refuse(dir, "is a symbolic link: remove it, or name the directory itself with local:///absolute/directory")
	case !info.IsDir():
		return nil, refuse(dir, "is not a directory: remove it, or name another one with local:///absolute/directory")
	case owner != int64(os.Geteuid()):
		return nil, refuse(dir, fmt.Sprintf("belongs to user %d, who would get the requests of this one, %d: remove it, "+
			"or name a directory of your own with local:///absolute/directory", owner, os.Geteuid()))
	case info.Mode().Perm()&0o077 != 0:
		return nil, refuse(dir, fmt.Sprintf("is open to other users (mode %04o), who could take the place of its servers: "+
			"look for such files, then chmod 0700", info.Mode().Perm()))
	}
	return info, nil
}

func refuse(dir, reason string) error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: fmt.Sprintf("local registry: %s %s", dir, reason)}
}

func unreachable(path, what string, cause error) error {
	return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: cause,
		Message: fmt.Sprintf("local registry: %s: %s: %v", path, what, cause)}
}
