package connection

import (
	"net"
	"strings"
)

// IsLocal reports whether only this machine can reach an address: a socket, or a host of the
// loopback interface, with a port or without.
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

// IsXDS reports whether an address is a name that a control plane of xDS resolves, and not one
// process: "xds:///NAME".
func IsXDS(address string) bool { return strings.HasPrefix(address, "xds://") }
