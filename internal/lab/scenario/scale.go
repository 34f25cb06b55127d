//go:build linux

package scenario

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// scale is about very many topics, processes and servers, or very few resources.
var scale = []Scenario{
	{Name: "one-processor", What: "all processes have one processor", Run: oneProcessor},
	{Name: "thousand-topics", What: "clients send to a thousand topics", Run: thousandTopics},
	{Name: "five-hundred-instances", What: "a topic has 500 instances", Run: fiveHundredInstances},
	{Name: "consul-300-servers", What: "300 servers of one process start on Consul in under 2 s", Run: consul300Servers},
	{Name: "consul-400-topics", What: "a process watches 400 topics at Consul's default limits", Run: consul400Topics},
}

func oneProcessor(w *world.World) {
	place := world.Place{Procs: 1}
	for _, name := range []string{"s1", "s2", "s3"} {
		w.ServeAt(name, role.Server{}, place)
	}
	w.Injectf("GOMAXPROCS=1")
	l := w.Usual()
	l.Where, l.Servers = place, []string{"s1", "s2", "s3"}
	w.Load(l)
	w.Reach(1000)
	w.Kill("s3")
	w.Reach(1000)
	w.ServeAt("s3", role.Server{}, place)
	w.Freeze("s2")
	w.Wait(5 * time.Second)
	w.Thaw("s2")
	w.Wait(5 * time.Second)
	w.Restart("s1", role.Server{})
	w.Reach(1000)
}

func thousandTopics(w *world.World) {
	topics := numbered("topic", 1000)
	w.Serve("s1", role.Server{Topics: topics[:600]})
	w.Serve("s2", role.Server{Topics: topics[400:]})
	w.Injectf("1,000 topics")
	l := w.Usual()
	l.Topics = topics
	w.Load(l)
	w.Wait(20 * time.Second)
	w.Restart("s2", role.Server{Topics: topics[400:]})
	w.Wait(20 * time.Second)
}

func fiveHundredInstances(w *world.World) {
	names := numbered("n", 500)
	for p := range 10 {
		w.Serve(numbered("p", 10)[p], role.Server{Names: names[p*50 : p*50+50]})
	}
	w.Injectf("500 instances")
	l := w.Usual()
	l.Callers, l.Pace, l.Servers, l.Timeout = 4, 50*time.Millisecond, names, 20*time.Second
	w.Load(l)
	w.Reach(200)
	w.Kill("p1")
	w.Wait(10 * time.Second)
	w.Restart("p2", role.Server{Names: names[50:100]})
	w.Wait(10 * time.Second)
}

func consul300Servers(w *world.World) {
	w.Consul("")
	w.Injectf("300 servers of one process")
	w.Serve("p1", role.Server{Names: numbered("n", 300), StartWithin: 2 * time.Second})
	l := w.Usual()
	l.Callers, l.Timeout, l.Pace = 2, 20*time.Second, 100*time.Millisecond
	w.Load(l)
	w.Wait(10 * time.Second)
}

func consul400Topics(w *world.World) {
	topics := numbered("topic", 400)
	w.Consul("ttl=5s")
	w.Serve("s1", role.Server{Topics: topics})
	w.Injectf("400 watched topics")
	l := w.Usual()
	l.Processes, l.Topics, l.Timeout = 1, topics, 20*time.Second
	l.Forms = []history.Form{history.Call, history.Cast, history.Fanout, history.Multicall, history.TypedCall}
	w.Load(l)
	w.Wait(40 * time.Second)
	w.Serve("s2", role.Server{Topics: topics[:50]})
	w.Wait(20 * time.Second)
}
