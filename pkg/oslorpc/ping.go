package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/host"
)

// PingMethod is the method that [WithPing] adds.
const PingMethod = discovery.PingMethod

// WithPing adds oslo.messaging's ping method to the server: [PingMethod] in the default namespace.
// It accepts any arguments, serves any version, and returns "pong". (Upstream: the option
// rpc_ping_enabled.) An endpoint that lists a method of that name has precedence. No access policy
// hides the method. [Endpoint.Fallback] never gets a ping, with or without this option. Nothing
// else changes: the server is not listed as implementing version 1.0, and other messages are
// refused as before.
//
// A ping passes through the queue and needs a worker, so it shows that the server works. To check
// only that its process is alive, use [Transport.Ping], which every server answers.
func WithPing() ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Ping = true })
}
