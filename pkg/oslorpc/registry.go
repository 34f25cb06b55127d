package oslorpc

import (
	"errors"
	"net/url"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/internal/discovery/local"
	"github.com/oslorpc/oslorpc/internal/discovery/memory"
	"github.com/oslorpc/oslorpc/internal/discovery/static"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// Every program can open these registries. A program imports the packages of other registries, so
// that it links only what it uses; see package registry.
func init() { //nolint:gochecknoinits // registries are known before the program begins
	registry.Register("local", parsed(local.Open))
	registry.Register("memory", parsed(memory.Open))
	registry.Register("gateway", func(text string, c registry.Config) (registry.Registry, error) { return gateway.Open(text, c) })
	registry.Register("static", func(text string, c registry.Config) (registry.Registry, error) {
		return static.Open(strings.TrimPrefix(text, "static://"), c.Exchange) // a list of addresses is no host of a URL
	})
}

func parsed(open func(*url.URL) (registry.Registry, error)) registry.Opener {
	return func(text string, _ registry.Config) (registry.Registry, error) {
		u, err := url.Parse(text)
		if err != nil {
			return nil, invalidUse("transport URL is malformed: %v", errors.Unwrap(err)) // err itself repeats the URL, with its password
		}
		return open(u)
	}
}
