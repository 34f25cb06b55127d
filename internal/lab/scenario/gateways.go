//go:build linux

package scenario

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// gateways are about clients and servers that reach each other through gateways.
var gateways = []Scenario{
	{Name: "gateways", What: "32 callers use two gateways, which are killed, started again and drained", Short: true, Run: twoGateways},
	{Name: "gateways-servers", What: "servers behind two gateways are killed and restarted", Run: serversBehindGateways},
}

// callersBehind is the load of clients that reach servers through gateways: 32 callers in all.
func callersBehind(w *world.World, url string, servers ...string) world.Load {
	l := w.Usual()
	l.URL, l.Servers, l.Callers = url, servers, 16
	return l
}

// twoGateways checks that only messages at a killed gateway may have an unknown outcome, and that
// nothing else fails.
func twoGateways(w *world.World) {
	w.Consul("")
	names := w.Servers(3)
	all, url := w.Gateways(2)
	w.Load(callersBehind(w, url, names...))
	w.Reach(200)
	for range world.Scale(w, 4, 1) {
		for _, g := range all {
			end := w.ExcuseForms("a killed gateway had messages for all servers in progress",
				[]history.Form{history.Fanout, history.TypedFanout, history.Gather}, "OutcomeUnknown")
			w.Kill(g.Name)
			w.Wait(world.Scale(w, 2*time.Second, time.Second))
			end()
			w.Forward(g)
			w.Reach(300)
			w.Injectf("drain of a gateway")
			w.Stop(g.Name)
			w.Reach(300)
			w.Forward(g)
			w.Reach(300)
		}
	}
}

// serversBehindGateways restarts and kills servers, as the scenarios rolling-restart and kill do,
// while clients reach them through gateways.
func serversBehindGateways(w *world.World) {
	w.Consul("ttl=3s")
	names := w.Servers(3)
	_, url := w.Gateways(2)
	w.Load(callersBehind(w, url, names...))
	for n := range world.Scale(w, 6, 1) {
		w.Reach(200)
		w.Restart(names[n%3], role.Server{})
		w.Reach(200)
		w.Kill(names[(n+1)%3])
		w.Serve(names[(n+1)%3], role.Server{})
	}
	w.Reach(200)
}
