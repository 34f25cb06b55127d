package connection

import (
	"net"
	"strings"
)

// IsLocal reports whether only this machine can reach an address: a Unix socket, or a host of the
// loopback interface, with or without a port.
func IsLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.HasPrefix(address, "unix:") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// IsXDS reports whether an address is a name that an xDS control plane resolves, "xds:///NAME", and
// not the address of one process.
func IsXDS(address string) bool { return strings.HasPrefix(address, "xds://") }
