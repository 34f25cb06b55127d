//go:build linux

package scenario

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// networks are about the network between processes.
var networks = []Scenario{
	{Name: "one-way-loss", What: "packets of one direction get lost between hosts", Run: oneWayLoss},
	{Name: "packet-loss", What: "packets get lost now and then, in both directions", Run: packetLoss},
	{Name: "resets", What: "connections are reset again and again", Short: true, Run: resets},
	{Name: "flapping-link", What: "a server becomes unreachable and reachable, again and again", Run: flappingLink},
}

// hosts starts servers on separate hosts, and returns the network of the clients.
func hosts(w *world.World, servers ...string) (clients *world.Net, of map[string]*world.Net) {
	network := w.Network()
	clients, of = network.Host(), map[string]*world.Net{}
	for _, name := range servers {
		of[name] = network.Host()
		w.ServeAt(name, role.Server{}, world.Place{Net: of[name]})
	}
	return clients, of
}

func oneWayLoss(w *world.World) {
	clients, of := hosts(w, "s1", "s2", "s3", "s4")
	l := w.Usual()
	l.Where = world.Place{Net: clients}
	w.Load(l)
	w.Reach(200)
	for n, name := range []string{"s1", "s2"} {
		from, to := clients, of[name]
		if n == 1 {
			from, to = to, from
		}
		from.Lose(to, name)
		w.Wait(25 * time.Second)
		from.Heal(to, name)
		w.Wait(10 * time.Second)
	}
	w.Reach(200)
}

// packetLoss drops all packets for a tenth of a second, again and again. TCP retransmits them.
func packetLoss(w *world.World) {
	clients, of := hosts(w, "s1", "s2", "s3")
	l := w.Usual()
	l.Where = world.Place{Net: clients}
	w.Load(l)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); w.Wait(time.Duration(w.Random.IntN(400)) * time.Millisecond) {
		name := []string{"s1", "s2", "s3"}[w.Random.IntN(3)]
		from, to := clients, of[name]
		if w.Random.IntN(2) == 0 {
			from, to = to, from
		}
		from.Lose(to, name)
		w.Wait(100 * time.Millisecond)
		from.Heal(to, name)
	}
	w.Reach(200)
}

// behind starts servers behind proxies.
func behind(w *world.World, like role.Server, names ...string) map[string]*world.TCPProxy {
	proxies := map[string]*world.TCPProxy{}
	for _, name := range names {
		s := like
		s.Listen = w.FreeAddr()
		proxies[name] = w.TCPProxy(s.Listen)
		s.Advertise = proxies[name].Addr
		w.Serve(name, s)
	}
	return proxies
}

func resets(w *world.World) {
	names := []string{"s1", "s2", "s3"}
	proxies := behind(w, role.Server{}, names...)
	l := w.Usual()
	l.Servers = names
	w.Load(l)
	for end := time.Now().Add(world.Scale(w, 60*time.Second, 5*time.Second)); time.Now().Before(end); w.Wait(300 * time.Millisecond) {
		name := names[w.Random.IntN(3)]
		proxies[name].Reset(name)
	}
	w.Reach(100)
}

// flappingLink checks that a message that waits for a server continues when the server is reachable
// again, and not only when a timer fires.
func flappingLink(w *world.World) {
	proxies := behind(w, role.Server{}, "s1", "s2")
	l := w.Usual()
	l.Servers, l.Timeout = []string{"s1"}, 20*time.Second
	w.Load(l)
	w.Reach(200)
	for range 30 {
		proxies["s1"].Refuse("s1")
		w.Wait(500 * time.Millisecond)
		proxies["s1"].Mend("s1")
		w.Wait(500 * time.Millisecond)
	}
	w.Reach(200)
	longest := time.Duration(0)
	for _, op := range w.History().Operations {
		if op.To == "s1" {
			longest = max(longest, op.End.Sub(op.Begin))
		}
	}
	if longest > 3*time.Second {
		w.Violatedf("a message continues when its server is back", "one took %v, and the server was never unreachable for longer than half a second", longest)
	}
	w.Eventf(history.Noted, "", "the longest message for s1 took %v", longest)
}
