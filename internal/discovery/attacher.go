package discovery

import "net"

// Attacher is implemented by registries for processes that others cannot connect to. The registry
// brings the connections.
type Attacher interface {
	// Attach returns a listener for the connections that the registry brings, and the address to
	// publish. Both are valid until the next Attach. Accepted connections outlive the listener.
	Attach() (l net.Listener, addr string)
}
