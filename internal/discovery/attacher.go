package discovery

import "net"

// Attacher is implemented by registries through which others reach the process that publishes,
// since they cannot connect to it.
type Attacher interface {
	// Attach returns a listener for the connections that the registry brings, and the address to
	// publish. It is for what is published until the next Attach. Connections that were accepted
	// outlive the listener.
	Attach() (l net.Listener, addr string)
}
