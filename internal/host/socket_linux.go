package host

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindSocket binds a socket whose file has socketMode from the moment it exists: Linux gives the
// file the mode of the descriptor.
func bindSocket(ctx context.Context, path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), socketMode) }); err != nil {
			return err
		}
		return failed
	}}
	return config.Listen(ctx, "unix", path)
}
