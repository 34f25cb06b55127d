package oslorpc_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// twoPorts returns the first of two consecutive free ports.
func twoPorts(t *testing.T) int {
	t.Helper()
	for {
		one, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := one.Addr().(*net.TCPAddr).Port
		two, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		_ = one.Close()
		if err == nil {
			_ = two.Close()
			return port
		}
	}
}

// Workers on one host share a range of ports. Each takes the next free port.
func TestPortRange(t *testing.T) {
	port := twoPorts(t)
	listen := oslorpc.WithListen(fmt.Sprintf("127.0.0.1:%d-%d", port, port+1))
	start := func() (*oslorpc.Server, error) {
		transport := openOn(t, "memory://port-range", listen)
		t.Cleanup(func() { _ = transport.Close() })
		s := newServer(transport, "worker")
		return s, s.Start(t.Context())
	}
	var first *oslorpc.Server
	for n := range 2 {
		s, err := start()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s
		}
		if i, _ := s.Instance(); i.Addr != fmt.Sprintf("127.0.0.1:%d", port+n) {
			t.Errorf("worker %d is at %s", n, i.Addr)
		}
	}
	_, err := start()
	wantKind(t, err, oslorpc.Invalid, false)
	if err == nil || !strings.Contains(err.Error(), "none of the 2 ports is free; widen the range") {
		t.Errorf("with no port left: %v", err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); err != nil {
		t.Errorf("after a worker stopped: %v", err)
	}
}
