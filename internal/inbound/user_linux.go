package inbound

import (
	"net"

	"golang.org/x/sys/unix"
)

// userOf returns the user of the process at the other end of a Unix socket. It returns false for
// any other connection.
func userOf(conn net.Conn) (uid uint32, known bool) {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, known = cred.Uid, true
		}
	})
	return uid, known && err == nil
}
