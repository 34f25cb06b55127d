package client

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/delivery"
)

// warnNameless warns, once for each address without a server name in the transport URL, that a
// message for all servers reaches only one server there. A proxy may listen at the address, with
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
