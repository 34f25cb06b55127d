package oslorpc

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/discovery/consul"
	"github.com/oslorpc/oslorpc/internal/discovery/local"
	"github.com/oslorpc/oslorpc/internal/discovery/memory"
	"github.com/oslorpc/oslorpc/internal/discovery/static"
)

// openRegistry returns the registry that a transport URL names. Addresses of static:// are in the
// exchange.
func openRegistry(text, exchange string, log *slog.Logger) (discovery.Registry, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return nil, invalidUse("transport URL %q has no scheme: write local://, consul://host:8500, static://topic=host:port or memory://name", text)
	}
	switch strings.ToLower(scheme) { // a list of addresses is no host of a URL
	case "static":
		return static.Open(rest, exchange)
	case "consul":
		return consul.Open("consul://"+rest, log)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, invalidUse("transport URL is malformed: %v", errors.Unwrap(err)) // err itself repeats the URL, with its password
	}
	switch u.Scheme {
	case "local":
		return local.Open(u)
	case "memory":
		return memory.Open(u)
	default:
		return nil, invalidUse("transport URL has the unknown scheme %q: known are local, consul, static and memory", scheme)
	}
}
