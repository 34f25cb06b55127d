//go:build linux

package scenario

import (
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// registries are about Consul.
var registries = []Scenario{
	{Name: "consul-calm", What: "nothing is injected, and nothing fails", Run: consulCalm},
	{Name: "consul-rolling-restart", What: "servers on Consul are restarted gracefully and killed", Short: true, Run: consulRolling},
	{Name: "consul-killed", What: "Consul is away for a minute, and comes back without its data", Run: consulKilled},
	{Name: "consul-outage", What: "Consul hangs for longer than the TTL, recovers for a moment, and is down for a minute", Run: consulOutage},
	{Name: "consul-hung", What: "Consul hangs, and recovers", Run: consulHung},
	{Name: "consul-one-of-two", What: "one of two agents hangs, and a server starts at the other", Run: consulOneOfTwo},
	{Name: "consul-empty", What: "Consul answers that there is nothing", Run: consulFault("empty", world.Text("[]"))},
	{Name: "consul-slow", What: "Consul takes two seconds for each answer", Run: consulFault("slow", world.Slow(2*time.Second))},
	{Name: "consul-500", What: "Consul answers 500", Run: consulFault("500", world.Status(500, "No cluster leader"))},
	{Name: "consul-403", What: "Consul answers 403", Run: consulFault("403", world.Status(403, "Permission denied"))},
	{Name: "consul-429", What: "Consul answers 429", Run: consulFault("429", world.Status(429, "Too Many Requests"))},
	{Name: "consul-garbage", What: "Consul answers with garbage", Run: consulFault("garbage",
		world.Text("<html>Welcome</html>", "[null]", "[{}]", "null", `{"a":`, `[{"Service":null,"Checks":[null]}]`, strings.Repeat("[", 1000)))},
	{Name: "consul-no-permission", What: "callers without a token", Run: consulNoPermission},
	{Name: "consul-crowded", What: "a server watches more topics than Consul's limit allows connections", Run: consulCrowded},
	{Name: "consul-catalog-lapse", What: "Consul's catalog forgets servers whose agent knows them", Run: consulCatalogLapse},
	{Name: "shutdown-while-hung", What: "processes stop while Consul hangs and a server starts", Run: shutdownWhileHung},
}

func consulCalm(w *world.World) {
	w.Consul("")
	calm(w)
}

func consulRolling(w *world.World) {
	w.Consul("ttl=3s")
	names := w.Servers(3)
	l := w.Usual()
	l.Servers = names
	w.Load(l)
	for n := range world.Scale(w, 6, 1) {
		w.Reach(100)
		w.Restart(names[n%3], role.Server{})
		w.Reach(100)
		w.Kill(names[(n+1)%3])
		w.Serve(names[(n+1)%3], role.Server{})
	}
	w.Reach(200)
}

// crowd is the load for outages: 32 callers.
func crowd(w *world.World) world.Load {
	l := w.Usual()
	l.Callers, l.Pace = 16, 20*time.Millisecond
	return l
}

func consulKilled(w *world.World) {
	agent := w.Consul("ttl=5s")
	w.Servers(4)
	w.Load(crowd(w))
	w.Reach(300)
	agent.Kill()
	w.Wait(10 * time.Second)
	w.Kill("s4")
	w.Wait(50 * time.Second)
	agent.Restart()
	w.Wait(15 * time.Second)
	w.Serve("s4", role.Server{})
	w.Wait(10 * time.Second)
}

// consulOutage covers the moment after Consul hung and before it dies. The last thing that Consul
// then says is that all servers are gone, because it did not handle their heartbeats in time.
func consulOutage(w *world.World) {
	agent := w.Consul("")
	heartbeats := agent.Proxy("127.0.0.2")
	clients := crowd(w)
	clients.URL = w.URL
	w.URL = "consul://" + heartbeats.Addr
	w.Servers(5)
	w.Load(clients)
	w.Reach(300)
	agent.Pause()
	heartbeats.Hang()
	w.Wait(20 * time.Second) // the TTL is 15
	agent.Resume()
	w.Wait(400 * time.Millisecond)
	agent.Kill()
	heartbeats.Pass()
	w.Wait(20 * time.Second)
	w.Kill("s5")
	w.Wait(40 * time.Second)
	agent.Restart()
	w.Wait(15 * time.Second)
}

func consulHung(w *world.World) {
	agent := w.Consul("ttl=5s")
	w.Servers(4)
	w.Load(crowd(w))
	for range 2 {
		w.Reach(300)
		agent.Pause()
		w.Wait(20 * time.Second)
		agent.Resume()
		w.Wait(10 * time.Second)
	}
}

// consulOneOfTwo has two agents of one cluster. The servers use only the second one.
func consulOneOfTwo(w *world.World) {
	second := w.Consul("ttl=5s")
	first := second.Join()
	both := "consul://" + first.Addr() + "," + second.Addr() + "?ttl=5s"
	w.Servers(4)
	l := crowd(w)
	l.URL = both
	w.Load(l)
	w.Reach(300)
	first.Pause()
	w.Wait(2 * time.Second)
	end := w.Excuse("watches take seconds to move to the other agent", "missing")
	w.Serve("late", role.Server{})
	w.Wait(10 * time.Second)
	end()
	w.Kill("s1")
	late := l
	late.Processes, late.Servers, late.Forms = 1, []string{"late"}, []history.Form{history.Call, history.Cast}
	w.Load(late)
	w.Wait(48 * time.Second)
	first.Resume()
	w.Wait(5 * time.Second)
	second.Pause()
	w.Wait(20 * time.Second)
	second.Resume()
	w.Wait(10 * time.Second)
}

// consulFault makes Consul give wrong answers for a while.
func consulFault(what string, answer world.Answer) func(*world.World) {
	return func(w *world.World) {
		agent := w.Consul("ttl=5s")
		proxy := agent.Proxy("127.0.0.2")
		w.URL = "consul://" + proxy.Addr + "?ttl=5s"
		w.Servers(4)
		w.Load(crowd(w))
		w.Reach(300)
		proxy.Answer(what, answer)
		w.Wait(10 * time.Second)
		w.Kill("s4")
		w.Wait(10 * time.Second)
		proxy.Pass()
		w.Wait(15 * time.Second)
		w.Serve("s4", role.Server{})
		w.Reach(300)
	}
}

// consulNoPermission checks that a caller without read permission gets an error, and that a fanout
// does not succeed as if there were no servers.
func consulNoPermission(w *world.World) {
	agent := w.Consul("", consultest.ACLs)
	w.Injectf("no permission to read")
	for _, name := range []string{"s1", "s2"} {
		w.ServeAt(name, role.Server{}, world.Place{Env: []string{"CONSUL_HTTP_TOKEN=" + consultest.Token}})
	}
	w.URL = "consul://" + agent.Addr()
	w.Wait(4 * time.Second) // from then on, they would be missing in a report
	w.Excuse("callers may not read", "Unreachable", "AccessDenied", "NoInstance", "Timeout")
	l := w.Usual()
	l.Timeout, l.Once = 3*time.Second, true
	w.Await(w.Load(l))
}

// consulCrowded checks that watches do not starve the heartbeats of a server.
func consulCrowded(w *world.World) {
	agent := w.Consul("ttl=3s", "limits { http_max_conns_per_client = 20 }")
	w.Injectf("more watches than connections")
	callers := agent.Proxy("127.0.0.2")
	w.Serve("s1", role.Server{Watch: numbered("other", 60)})
	l := crowd(w)
	l.URL = "consul://" + callers.Addr + "?ttl=3s"
	w.Load(l)
	w.Wait(40 * time.Second)
}

// consulCatalogLapse checks that no fanout succeeds as if there were no servers.
func consulCatalogLapse(w *world.World) {
	agent := w.Consul("ttl=5s")
	w.Servers(3)
	w.Load(crowd(w))
	w.Reach(300)
	agent.Forget()
	w.Wait(75 * time.Second)
}

// shutdownWhileHung checks that the ctx of Shutdown bounds it, whatever Consul does.
func shutdownWhileHung(w *world.World) {
	agent := w.Consul("")
	like := role.Server{StopWithin: 2 * time.Second, More: true}
	w.Servers(3, like)
	l := w.Usual()
	l.Forms = []history.Form{history.Call, history.Cast, history.Multicall}
	w.Load(l)
	w.Reach(100)
	agent.Pause()
	w.More("s1")
	w.Wait(500 * time.Millisecond)
	w.Stop("s1")
	w.Stop("s2")
	w.Reach(100)
	agent.Resume()
	w.Wait(5 * time.Second)
}
