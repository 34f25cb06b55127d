package oslorpc

import (
	"strings"

	"google.golang.org/grpc/resolver"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// setXDS prepares for addresses of static:// that a control plane of xDS resolves. The control
// plane chooses the server by headers, so each message carries them and has a stream of its own.
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
