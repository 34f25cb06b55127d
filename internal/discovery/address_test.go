package discovery

import (
	"net"
	"strconv"
	"testing"
)

func FuzzSplitAddr(f *testing.F) {
	for _, addr := range []string{"host:1", "[::1]:65535", "[fe80::1%eth0]:80", "127.0.0.1:080", "[h]:80", "unix:/x", ":80", "[::]:1", "::1:7000", " h:1"} {
		f.Add(addr)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		host, port, err := SplitAddr(addr)
		if err == nil && (net.JoinHostPort(host, strconv.Itoa(port)) != addr || port == 0 || CheckHost(host) != nil) {
			t.Errorf("%q is %q and %d", addr, host, port)
		}
	})
}
