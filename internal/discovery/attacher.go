package discovery

import "net"

// Attacher is implemented by registries for processes to which no other process can connect.
// Connections to such a process come through the registry instead, from a gateway.
type Attacher interface {
	// Attach returns a listener for these connections, and the address to publish. Both are valid
	// until the next Attach. Accepted connections outlive the listener.
	Attach() (l net.Listener, addr string)
}
