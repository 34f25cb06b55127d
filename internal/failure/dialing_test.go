package failure

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestDialing(t *testing.T) {
	t.Parallel()
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}
	for want, err := range map[string]error{
		"something": errors.New("something"),
		"the name nova7 cannot be resolved (no such host): check it, and DNS": &net.OpError{
			Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nova7", Server: "192.0.2.53:53"},
		},
		"network is unreachable": &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)},
		"no suitable address":    &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no suitable address")},
	} {
		if got := Dialing(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
