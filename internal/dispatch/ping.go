package dispatch

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// WithPing adds the ping method, whatever the policy says, unless an endpoint has one. It serves
// any version, and is described with version 1.0, as upstream. It does not belong to the endpoints:
// what the table implements, and how it refuses other messages, does not change.
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

// hasOwnPing reports whether one of the endpoints lists the ping method where the added one would
// be.
func (t *Table) hasOwnPing() bool {
	return slices.ContainsFunc(t.endpoints, func(e endpoint) bool {
		_, has := e.Methods[discovery.PingMethod]
		return has && e.serves("", rpc.DefaultVersion)
	})
}
