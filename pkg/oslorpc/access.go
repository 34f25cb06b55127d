package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/host"
)

// AccessPolicy says which methods of a server's endpoints callers can call. The zero value is
// AllowPublic.
type AccessPolicy uint8

// The access policies.
const (
	// AllowPublic allows the methods whose names do not begin with an underscore.
	// (DefaultRPCAccessPolicy upstream.)
	AllowPublic = AccessPolicy(dispatch.AllowPublic)
	// AllowAll allows every method. (LegacyRPCAccessPolicy upstream.)
	AllowAll = AccessPolicy(dispatch.AllowAll)
	// AllowExposed allows the methods that are marked with [Method.Expose], whatever their names.
	// (ExplicitRPCAccessPolicy upstream.)
	AllowExposed = AccessPolicy(dispatch.AllowExposed)
)

// WithAccessPolicy sets which methods callers can call. The default is [AllowPublic]. A method that
// the policy does not allow is treated as absent: [Transport.Info] does not list it, its caller
// gets [NoSuchMethod], and a later endpoint with a method of that name may serve the message. Any
// other value is an error of kind [Invalid] at the server's start.
func WithAccessPolicy(p AccessPolicy) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Policy = dispatch.Policy(p) })
}
