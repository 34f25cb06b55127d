// Package consul makes consul:// known: it registers the registry in HashiCorp Consul. Import it
// for that effect alone:
//
//	import _ "github.com/oslorpc/oslorpc/pkg/registry/consul"
//
// Then oslorpc.Open("consul://host:8500") finds other programs by way of the Consul agent there.
// See docs/discovery.md for the parameters of the URL and the rights that a program needs in
// Consul.
//
// A program that imports it links Consul's client, which is a tenth of the size of a small program.
// Programs that use only local://, static:// or memory:// leave it out.
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
