package dispatch

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// WithPing adds the ping method, regardless of the policy, unless an endpoint has it. The method
// serves any version, and is described with version 1.0, as in oslo.messaging. It belongs to no
// endpoint, so it changes neither what the table implements nor how it refuses other messages.
func WithPing() TableOption {
	return func(t *Table) { t.ping = newPing() }
}

func newPing() *endpoint {
	pong := func(_ context.Context, emit Emit) error { return emit(`"pong"`) }
	method := &Method{Extra: true, Result: "string", Bind: func(string) (Invocation, error) { return pong, nil }}
	ping := newEndpoint(Endpoint{
		Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: map[string]*Method{discovery.PingMethod: method},
	}, AllowAll)
	return &ping
}

// hasOwnPing reports whether an endpoint of the default namespace has the ping method.
func (t *Table) hasOwnPing() bool {
	return slices.ContainsFunc(t.endpoints, func(e endpoint) bool {
		_, has := e.Methods[discovery.PingMethod]
		return has && e.serves("", rpc.DefaultVersion)
	})
}
