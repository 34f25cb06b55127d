// Package discovery has code that several registries share, such as the check of addresses and the
// text form of implementations. The registries that come with the library are its subpackages:
// consul, gateway, local, memory and static. Package registry says what a registry must do.
package discovery

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// FormatImplementation returns "namespace=version", with a percent-encoded namespace.
func FormatImplementation(i rpc.Implementation) string {
	return url.QueryEscape(i.Namespace) + "=" + i.Version.String()
}

// ParseImplementation parses the result of FormatImplementation.
func ParseImplementation(s string) (rpc.Implementation, error) {
	namespace, version, found := strings.Cut(s, "=")
	if !found {
		return rpc.Implementation{}, fmt.Errorf(`implementation %q is not of the form "namespace=version"`, s)
	}
	ns, err := url.QueryUnescape(namespace)
	if err != nil {
		return rpc.Implementation{}, fmt.Errorf("implementation %q: %w", s, err)
	}
	v, err := rpc.ParseVersion(version)
	if err != nil {
		return rpc.Implementation{}, fmt.Errorf("implementation %q: %w", s, err)
	}
	return rpc.Implementation{Namespace: ns, Version: v}, nil
}
