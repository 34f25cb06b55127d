//go:build linux

package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// peers are about one server, or one address, that affects the others.
var peers = []Scenario{
	{Name: "frozen-server", What: "one of five servers is frozen; the others continue", Run: frozenServer},
	{Name: "slow-methods", What: "a server whose methods take 30 s is not avoided", Run: slowMethods},
	{Name: "hung-many", What: "64 servers hang; a fanout reaches 130 others", Run: hungMany},
	{Name: "refused-multicall", What: "two full servers refuse multicalls, which wait", Run: refusedMulticall},
	{Name: "stale-address", What: "other programs listen at addresses of the topic", Run: staleAddress},
	{Name: "bad-peers", What: "peers of eleven bad kinds are at addresses of the topic", Run: badPeers},
	{Name: "peer-cancels", What: "a peer resets streams with CANCEL", Run: peerCancels},
	{Name: "misdirected", What: "the address of a server leads to another process for a moment", Run: misdirected},
	{Name: "streams-used-up", What: "a server has no streams left", Run: streamsUsedUp},
	{Name: "forced-stop-of-one", What: "one of the servers of a process is stopped by force in the middle of streams", Run: forcedStopOfOne},
	{Name: "forced-stop", What: "servers are stopped by force in the middle of streams", Run: forcedStop},
}

// frozenServer checks that anycast is back above 70 % of its throughput within 3 s.
func frozenServer(w *world.World) {
	w.Servers(5)
	l := w.Usual()
	l.Forms, l.Callers, l.Pace, l.Timeout = []history.Form{history.Call, history.Cast}, 16, 30*time.Millisecond, 30*time.Second
	w.Load(l)
	w.Wait(8 * time.Second)
	frozen := time.Now()
	w.Freeze("s3")
	w.Wait(10 * time.Second)
	thawed := time.Now()
	w.Thaw("s3")
	w.Wait(5 * time.Second)
	before := rate(w, frozen.Add(-5*time.Second), frozen)
	after := rate(w, frozen.Add(3*time.Second), thawed)
	w.Eventf(history.Noted, "", "%.0f operations a second before, %.0f from 3 s after the freeze on", before, after)
	if after < 0.7*before {
		w.Violatedf("a frozen server does not stop its clients", "%.0f operations a second before the freeze, %.0f from 3 s after it on", before, after)
	}
}

// rate returns how many operations per second succeeded in a period.
func rate(w *world.World, from, until time.Time) float64 {
	n := 0
	for _, op := range w.History().Operations {
		if op.OK && op.End.After(from) && op.End.Before(until) {
			n++
		}
	}
	return float64(n) / until.Sub(from).Seconds()
}

// slowMethods checks that a busy server is not mistaken for a frozen one.
func slowMethods(w *world.World) {
	w.Servers(3)
	slow := w.Usual()
	slow.Processes, slow.Callers, slow.Length, slow.Timeout, slow.Once = 1, 16, 30*time.Second, time.Minute, true
	slow.Forms, slow.Servers, slow.Fails = []history.Form{history.Call, history.TypedCall}, []string{"s1"}, 0
	w.Injectf("methods that take 30 s")
	w.Load(slow)
	quick := w.Usual()
	quick.Forms = []history.Form{history.Call, history.Cast, history.TypedCall}
	w.Load(quick)
	began := time.Now()
	w.Wait(25 * time.Second)
	ran := map[string]int{}
	for _, e := range w.History().Executions {
		if e.At.After(began) {
			ran[e.Server]++
		}
	}
	w.Eventf(history.Noted, "", "executions: %v", ran)
	if ran["s1"] < ran["s2"]/2 || ran["s1"] < ran["s3"]/2 {
		w.Violatedf("a slow server is not avoided", "the servers ran %v", ran)
	}
	w.Wait(10 * time.Second)
}

// hungMany checks that servers that hang do not delay others.
func hungMany(w *world.World) {
	w.Serve("hung", role.Server{Names: numbered("h", 64)})
	w.Serve("healthy1", role.Server{Names: numbered("a", 65)})
	w.Serve("healthy2", role.Server{Names: numbered("z", 65)})
	l := w.Usual()
	l.Processes, l.Callers, l.Pace, l.Timeout = 1, 2, 100*time.Millisecond, 8*time.Second
	l.Forms, l.Fails = []history.Form{history.Fanout, history.TypedFanout, history.Gather}, 0
	w.Load(l)
	w.Wait(4 * time.Second)
	w.Freeze("hung")
	w.Wait(25 * time.Second)
	w.Thaw("hung")
	w.Wait(4 * time.Second)
}

func numbered(prefix string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d", prefix, i+1))
	}
	return names
}

// refusedMulticall checks that a multicall that two servers refuse did not run, and waits, whatever
// options its transport has.
func refusedMulticall(w *world.World) {
	w.Servers(2, role.Server{Workers: 1, Queue: 1})
	w.Injectf("full queues")
	w.Excuse("all servers are full", "Refused", "Timeout")
	l := w.Usual()
	l.Forms, l.Callers, l.Length, l.Items, l.Timeout, l.Interceptor = []history.Form{history.Multicall, history.TypedWatch}, 8, 50*time.Millisecond, 4,
		15*time.Second, true
	w.Load(l)
	w.Wait(30 * time.Second)
}

// staleAddress checks that all messages for any server succeed while other programs are at three of
// five addresses. Typed messages may reach a program that lacks their service. Nothing proves that
// their methods did not run, since any gRPC program may have them. The address is avoided after a
// message of our own service reached it.
func staleAddress(w *world.World) {
	first, second := w.FreeAddr(), w.FreeAddr()
	w.Injectf("another program at an address")
	w.URL = "static://" + strings.Join([]string{
		"lab=" + w.OtherGRPC(), "lab=" + w.OtherHTTP(), "lab=" + w.Silent(), "lab=" + first, "lab=" + second,
	}, ",")
	w.Serve("s1", role.Server{Listen: first})
	w.Serve("s2", role.Server{Listen: second})
	l := w.Usual()
	typed := []history.Form{history.TypedCall, history.TypedCast, history.TypedWatch}
	l.Forms = append([]history.Form{history.Call, history.Cast, history.Multicall, history.Monitored}, typed...)
	w.ExcuseForms("another program lacks the service", typed, "NoSuchMethod")
	w.Load(l)
	w.Wait(30 * time.Second)
	strayed, all := 0, w.History().Operations
	for _, op := range all {
		if op.Kind == "NoSuchMethod" {
			strayed++
		}
	}
	if strayed > len(all)/100 {
		w.Violatedf("another program is avoided", "%d of %d messages reached one", strayed, len(all))
	}
}

// badPeers checks that bad peers delay messages for any server, but make none of them fail.
func badPeers(w *world.World) {
	first, second := w.FreeAddr(), w.FreeAddr()
	w.Injectf("peers of many bad kinds")
	var places []string
	for _, addr := range append(w.BadPeers(), first, second) {
		places = append(places, "lab="+addr)
	}
	w.URL = "static://" + strings.Join(places, ",")
	w.Serve("s1", role.Server{Listen: first})
	w.Serve("s2", role.Server{Listen: second})
	l := w.Usual()
	l.Timeout = 20 * time.Second
	l.Forms = []history.Form{history.Call, history.Cast, history.Fanout, history.Multicall, history.TypedCall, history.TypedCast, history.TypedWatch, history.TypedSync}
	w.ExcuseForms("a client stream is not sent to another server", []history.Form{history.TypedSync}, "Refused", "Unreachable")
	w.Load(l)
	w.Wait(40 * time.Second)
}

// peerCancels checks that the error of a canceled stream says that it was canceled, and not that
// the connection was lost.
func peerCancels(w *world.World) {
	listen := w.FreeAddr()
	proxy := w.TCPProxy(listen)
	proxy.CancelStreams()
	w.Serve("s1", role.Server{Listen: listen, Advertise: proxy.Addr})
	w.Excuse("the peer cancels streams", "OutcomeUnknown", "Canceled")
	l := w.Usual()
	l.Forms = []history.Form{history.Call, history.Cast, history.Multicall, history.TypedCall, history.TypedWatch}
	w.Load(l)
	w.Wait(15 * time.Second)
	told := map[string]bool{}
	for _, op := range w.History().Operations {
		if strings.Contains(op.Error, "transport was closed") && !told[string(op.Form)] {
			told[string(op.Form)] = true
			w.Violatedf("errors are true", "%s: the peer canceled the stream, and the error says: %s", op.ID, op.Error)
		}
	}
}

// misdirected checks that a server is reachable as soon as its address leads to it again.
func misdirected(w *world.World) {
	names := []string{"s1", "s2"}
	listen := map[string]string{}
	proxies := map[string]*world.TCPProxy{}
	for _, name := range names {
		listen[name] = w.FreeAddr()
		proxies[name] = w.TCPProxy(listen[name])
		w.Serve(name, role.Server{Listen: listen[name], Advertise: proxies[name].Addr})
	}
	l := w.Usual()
	l.Servers = []string{"s1"}
	w.Load(l)
	for range 2 {
		w.Reach(200)
		end := w.Excuse("s1 cannot be reached", "NoInstance", "Unreachable", "OutcomeUnknown", "Timeout", "Refused", "missing")
		proxies["s1"].Redirect("s1", listen["s2"])
		w.Wait(3 * time.Second)
		proxies["s1"].Redirect("s1", listen["s1"])
		w.Wait(10 * time.Second)
		end()
		w.Wait(10 * time.Second)
	}
	w.Reach(200)
}

// streamsUsedUp checks that messages for any server go to others when one has no streams left.
func streamsUsedUp(w *world.World) {
	w.Serve("s1", role.Server{Streams: 4})
	w.Serve("s2", role.Server{})
	w.Injectf("no streams left")
	busy := w.Usual()
	busy.Forms, busy.Servers, busy.Callers, busy.Length, busy.Timeout, busy.Fails = []history.Form{history.Call}, []string{"s1"}, 32, 2*time.Second, 20*time.Second, 0
	end := w.Excuse("the messages for s1 wait for streams", "Timeout", "Refused", "Unreachable")
	w.Load(busy)
	quick := w.Usual()
	quick.Forms = []history.Form{history.Call, history.Cast, history.Monitored, history.TypedCall}
	quick.Timeout, quick.Processes = 5*time.Second, 1
	quick.Topics = nil
	w.Load(quick)
	w.Wait(30 * time.Second)
	end()
	lost := 0
	for _, op := range w.History().Operations {
		if !op.OK && op.To == "" && op.Kind != "Remote" {
			lost++
		}
	}
	if lost > 0 {
		w.Violatedf("a server without streams is avoided", "%d messages for any server failed beside an idle server", lost)
	}
}

// forcedStop checks that a message that a forced stop interrupts fails, even if its method ends
// normally.
func forcedStop(w *world.World) {
	like := role.Server{StopWithin: 300 * time.Millisecond, Grace: 50 * time.Millisecond}
	names := w.Servers(3, like)
	l := w.Usual()
	l.Forms, l.Items, l.Length = []history.Form{history.Multicall, history.TypedWatch, history.TypedSync, history.TypedImport, history.Call, history.Cast}, 100, 40*time.Millisecond
	w.Excuse("a forced stop interrupts messages", "OutcomeUnknown", "Canceled", "Remote", "Refused")
	w.Injectf("forced stops")
	w.Load(l)
	for n := range 9 {
		w.Wait(2 * time.Second)
		w.Restart(names[n%3], like)
	}
	w.Wait(2 * time.Second)
}

// forcedStopOfOne checks that a server that was stopped by force serves no streams, although its
// process continues.
func forcedStopOfOne(w *world.World) {
	w.Serve("both", role.Server{Names: []string{"one", "two"}, Quit: true})
	l := streams(w)
	l.Forms = []history.Form{history.Multicall, history.TypedWatch, history.TypedSync, history.TypedImport}
	l.Servers, l.Items, l.Length = []string{"one", "two"}, 100, 40*time.Millisecond
	w.Excuse("one server is gone", "OutcomeUnknown", "Canceled", "Remote", "Refused", "NoInstance", "Timeout", "Unreachable")
	w.Load(l)
	w.Wait(2 * time.Second)
	stopped := time.Now()
	w.Quit("both")
	w.Wait(8 * time.Second)
	for _, op := range w.History().Operations {
		if op.OK && op.To == "one" && op.End.After(stopped.Add(1500*time.Millisecond)) {
			w.Violatedf("a stopped server serves nothing", "%s succeeded %v after the stop", op.ID, op.End.Sub(stopped))
		}
	}
}
