package host

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/failure"
)

// socketMode is the file mode of sockets: only the user of this process can connect.
const socketMode = 0o600

// listenUnix listens on a socket to which only this user can connect at any time. It replaces the
// socket of a dead process, but never one on which a process listens. It locks the directory in the
// meantime: otherwise, if two processes find the same dead socket, one could remove the socket that
// the other has just made.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	unlock, err := lockDirectory(ctx, filepath.Dir(path))
	if err != nil {
		return nil, cannotListen("unix:"+path, err)
	}
	defer unlock()
	if err := removeDead(ctx, path); err != nil {
		return nil, err
	}
	l, err := bindSocket(ctx, path)
	if err != nil {
		return nil, cannotListen("unix:"+path, err)
	}
	return l, nil
}

// removeDead removes a socket on which no process listens. It returns an error if anything else is
// at the path.
func removeDead(ctx context.Context, path string) error {
	info, err := os.Lstat(path) //nolint:gosec // The user names the path.
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return cannotListen("unix:"+path, err)
	case info.Mode().Type() != os.ModeSocket:
		return failure.Invalid("cannot listen on unix:%s: the file there is not a socket; remove it, or listen elsewhere", path)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return failure.Invalid("another process listens on %q", path)
	case errors.Is(err, syscall.EAGAIN): // the listener's queue of connections is full
		return failure.Invalid("another process listens on %q, and takes no connections", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil { //nolint:gosec // It is a dead socket.
			return cannotListen("unix:"+path, err)
		}
		return nil
	default:
		return failure.Invalid("cannot listen on unix:%s: whether another process listens there is not known: %v", path, err)
	}
}
