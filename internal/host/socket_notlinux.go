//go:build !linux

package host

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// bindSocket binds a socket in a directory that no other user can enter, sets its mode, and moves
// it to path. So no other user can connect before the mode is set.
func bindSocket(ctx context.Context, path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hidden := filepath.Join(dir, "s")
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it would remove the path before the move
	}
	if err := os.Chmod(hidden, socketMode); err != nil {
		_ = l.Close() // the other error counts
		return nil, err
	}
	if err := os.Rename(hidden, path); err != nil {
		_ = l.Close() // as above
		return nil, err
	}
	return &movedListener{Listener: l, path: path}, nil
}

// movedListener is a listener whose socket was moved to path.
type movedListener struct {
	net.Listener
	path string
}

// Close closes the listener and removes its socket.
func (l *movedListener) Close() error {
	_ = os.Remove(l.path) // the socket may have been removed already
	return l.Listener.Close()
}

// Addr returns the address of the socket.
func (l *movedListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
