package client

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/delivery"
)

// warnNameless logs once for each address that a message for all servers reaches one server there:
// the transport URL gives the address, and no name of a server. A proxy may have the address, and
// several servers behind it.
func (t *Transport) warnNameless(ctx context.Context, a *delivery.Audience) {
	for _, e := range a.Reached {
		if e.ID != "" || e.Server != "" {
			continue
		}
		if _, said := t.nameless.LoadOrStore(e.Addr, true); said {
			continue
		}
		t.config.Log.WarnContext(ctx, "a message for all servers reaches only one server at an address for which the transport URL has no name",
			"address", e.Addr, "topic", e.Topic, "advice", "write static://TOPIC/SERVER=ADDRESS for each server; "+
				"if a proxy has the address for several, it needs carrier=routed, too: see docs/mesh.md")
	}
}
