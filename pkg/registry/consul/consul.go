// Package consul registers the scheme consul://, for HashiCorp Consul. Import it only for this
// effect:
//
//	import _ "github.com/oslorpc/oslorpc/pkg/registry/consul"
//
// Then oslorpc.Open("consul://host:8500") finds other programs through the Consul agent at that
// address. See docs/discovery.md for the parameters of the URL and the rights that a program needs
// in Consul.
//
// A program that imports the package links Consul's client, which is a tenth of the size of a small
// program. Programs that use only local://, gateway://, static:// or memory:// need not import it.
package consul

import (
	"github.com/oslorpc/oslorpc/internal/discovery/consul"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

func init() { //nolint:gochecknoinits // importing the package is what makes the scheme known
	registry.Register("consul", func(url string, c registry.Config) (registry.Registry, error) {
		r, err := consul.Open(url, c.Log)
		if err != nil {
			return nil, err // not r: a nil *consul.Registry is no nil registry.Registry
		}
		return r, nil
	})
}
