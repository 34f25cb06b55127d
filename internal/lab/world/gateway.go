//go:build linux

package world

import (
	"strings"

	"github.com/oslorpc/oslorpc/internal/lab/role"
)

// Gateways starts gateways at separate addresses, named gw1, gw2 and so on. It returns them, and
// the URL for processes that reach the fleet only through them.
func (w *World) Gateways(n int) (all []role.Gateway, url string) {
	var addrs []string
	for i := range n {
		g := role.Gateway{Name: "gw" + string(rune('1'+i)), Listen: w.FreeAddr(), Attach: true}
		w.Forward(g)
		all = append(all, g)
		addrs = append(addrs, g.Listen)
	}
	return all, "gateway://" + strings.Join(addrs, ",")
}

// Forward starts a gateway, and returns when it is ready.
func (w *World) Forward(g role.Gateway) {
	w.await(w.launch(g.Name, role.Config{Gateway: &g}, Place{}))
}
