//go:build linux

package scenario

import (
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// processes are about the faults of processes.
var processes = []Scenario{
	{Name: "calm", What: "nothing is injected, and nothing fails", Short: true, Run: calm},
	{Name: "kill", What: "servers are killed and started again under load", Short: true, Run: kill},
	{Name: "freeze", What: "servers are frozen for a while, under load", Short: true, Run: freeze},
	{Name: "same-port", What: "a server is killed and another starts at its address", Run: samePort},
	{Name: "rolling-restart", What: "each server is restarted gracefully, one after the other", Short: true, Run: rollingRestart},
	{Name: "full-queue-stop", What: "servers are stopped while their queues are full", Short: true, Run: fullQueueStop},
	{Name: "cancellation", What: "callers cancel half of their operations", Run: cancellation},
	{Name: "kill-clients", What: "clients are killed during their operations, and the servers continue", Run: killClients},
	{Name: "churn", What: "servers and clients come and go, gracefully and not", Run: churn},
}

func calm(w *world.World) {
	w.Servers(3)
	l := w.Usual()
	l.Servers = []string{"s1", "s2", "s3"}
	w.Load(l)
	w.Wait(world.Scale(w, 20*time.Second, 5*time.Second))
}

func kill(w *world.World) {
	w.Servers(4)
	l := w.Usual()
	l.Servers = []string{"s1", "s4"}
	w.Load(l)
	w.Reach(200)
	for n := range world.Scale(w, 10, 2) {
		victim := []string{"s1", "s2", "s3"}[n%3]
		w.Kill(victim)
		w.Wait(world.Scale(w, 2*time.Second, time.Second))
		w.Serve(victim, role.Server{})
		w.Reach(200)
	}
}

func freeze(w *world.World) {
	w.Servers(4)
	w.Load(w.Usual())
	w.Reach(200)
	for n := range world.Scale(w, 3, 1) {
		victim := []string{"s1", "s2", "s3"}[n%3]
		w.Freeze(victim)
		w.Wait(world.Scale(w, []time.Duration{4 * time.Second, 12 * time.Second, 30 * time.Second}[n], 4*time.Second))
		w.Thaw(victim)
		w.Wait(world.Scale(w, 6*time.Second, 2*time.Second))
	}
}

func samePort(w *world.World) {
	like := role.Server{Listen: w.FreeAddr()}
	w.Servers(2)
	w.Serve("fixed", like)
	l := w.Usual()
	l.Servers = []string{"fixed", "s1"}
	w.Load(l)
	for n := range world.Scale(w, 10, 2) {
		w.Reach(200)
		if n%2 == 0 {
			w.Kill("fixed")
			w.Serve("fixed", like)
		} else {
			w.Restart("fixed", like)
		}
	}
	w.Reach(200)
}

func rollingRestart(w *world.World) {
	names := w.Servers(3)
	l := w.Usual()
	l.Servers = names
	w.Load(l)
	for range world.Scale(w, 4, 1) {
		for _, name := range names {
			w.Reach(100)
			w.Restart(name, role.Server{})
		}
	}
	w.Reach(100)
}

func fullQueueStop(w *world.World) {
	like := role.Server{Workers: 2, Queue: 40}
	w.Servers(2, like)
	l := w.Usual()
	l.Callers, l.Pace, l.Length, l.Timeout = 64, 0, 20*time.Millisecond, 20*time.Second
	l.Forms = []history.Form{
		history.Cast, history.Call, history.Cast, history.Fanout, history.TypedCast, history.TypedCall, history.Multicall, history.Gather,
	}
	end := w.Excuse("all servers are full", "Refused", "Timeout")
	defer end()
	w.Injectf("full queues")
	w.Load(l)
	for n := range world.Scale(w, 8, 2) {
		w.Reach(300)
		w.Restart([]string{"s1", "s2"}[n%2], like)
	}
}

func cancellation(w *world.World) {
	w.Servers(3)
	l := w.Usual()
	l.Cancels, l.Length = 0.5, 20*time.Millisecond
	w.Injectf("half of all operations are canceled")
	w.Load(l)
	w.Wait(world.Scale(w, 30*time.Second, 5*time.Second))
}

func killClients(w *world.World) {
	w.Servers(3)
	l := w.Usual()
	w.Load(l)
	l.Processes, l.Length, l.Items = 1, 20*time.Millisecond, 50
	for range 10 {
		victim := w.Load(l)[0]
		w.Reach(1000)
		w.Kill(victim.Name)
	}
	w.Reach(200)
}

// churn makes servers and clients come and go.
func churn(w *world.World) {
	alive := w.Servers(6)
	w.Load(w.Usual())
	for end := time.Now().Add(world.Scale(w, 60*time.Second, 8*time.Second)); time.Now().Before(end); w.Wait(200 * time.Millisecond) {
		n := w.Random.IntN(len(alive))
		name := alive[n]
		switch w.Random.IntN(4) {
		case 0:
			if len(alive) > 3 {
				w.Kill(name)
				alive = slices.Delete(alive, n, n+1)
			}
		case 1:
			w.Restart(name, role.Server{})
		case 2:
			name = "late" + time.Now().Format("150405.000")
			w.Serve(name, role.Server{})
			alive = append(alive, name)
		case 3:
			short := w.Usual()
			short.Processes, short.Callers, short.Once = 1, 4, true
			w.Await(w.Load(short))
		}
	}
}
