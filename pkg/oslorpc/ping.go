package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/host"
)

// PingMethod is the method that [WithPing] adds.
const PingMethod = discovery.PingMethod

// WithPing adds oslo.messaging's ping method to the server: [PingMethod] in the default namespace,
// which takes any arguments and returns "pong", whatever version a message asks for. (The option
// rpc_ping_enabled upstream.) An endpoint that lists a method of that name has precedence, and no
// access policy hides it. No [Endpoint.Fallback] gets a ping, with this option or without it.
// Nothing else changes: the server is not listed as one that implements version 1.0, and other
// messages are refused as they were.
//
// A ping passes through the queue and needs a worker, so it tells that the server works. To learn
// only that its process is there, use [Transport.Ping], which every server answers.
func WithPing() ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Ping = true })
}
