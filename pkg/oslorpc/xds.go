package oslorpc

import (
	"strings"

	"google.golang.org/grpc/resolver"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// setXDS sets up static:// URLs whose addresses an xDS control plane resolves. The control plane
// chooses the server by headers, so each message is sent as an RPC of its own with these headers.
func (c *config) setXDS(url string) error {
	if !strings.HasPrefix(url, "static://") || !strings.Contains(url, "=xds://") {
		return nil
	}
	if resolver.Get("xds") == nil {
		return invalidUse(`transport URL %q: the program has no client of xDS: import _ "google.golang.org/grpc/xds" in it`, url)
	}
	if c.carries != rpc.CarrierUnary {
		c.carries = rpc.CarrierRouted
	}
	return nil
}
