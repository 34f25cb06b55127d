package discovery

import (
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// Name returns a description of a registry for error texts and logs, such as "Consul at
// 127.0.0.1:8500".
func Name(r registry.Registry) string {
	if named, ok := r.(fmt.Stringer); ok {
		return named.String()
	}
	return "the registry"
}
