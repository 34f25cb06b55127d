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

// typed are about typed services, versions, TLS and static addresses.
var typed = []Scenario{
	{Name: "tls-resets", What: "connections with TLS are reset, with streams of all kinds", Run: tlsResets},
	{Name: "tls-kill", What: "servers with TLS are killed and restarted", Run: tlsKill},
	{Name: "unlinked-service", What: "every other server lacks the typed service", Run: unlinkedService},
	{Name: "static-restart", What: "servers at static addresses are restarted", Run: staticRestart},
	{Name: "rolling-version-local", What: "the only two servers of version 1.2 are restarted, on local://", Run: func(w *world.World) { rollingVersion(w, nil) }},
	{Name: "rolling-version-consul", What: "the same on Consul", Run: func(w *world.World) {
		w.Consul("")
		rollingVersion(w, nil)
	}},
	{Name: "rolling-version-static", What: "the same at static addresses", Run: func(w *world.World) {
		listen := map[string]string{}
		var places []string
		for _, name := range []string{"new1", "new2", "old1", "old2"} {
			listen[name] = w.FreeAddr()
			places = append(places, fmt.Sprintf("lab/%s=%s", name, listen[name]))
		}
		w.URL = "static://" + strings.Join(places, ",")
		rollingVersion(w, listen)
	}},
	{Name: "rolling-carrier-local", What: "servers of a build without sessions are replaced by servers of this build, and back, on local://", Short: true, Run: rollingCarrier},
	{Name: "rolling-carrier-consul", What: "the same on Consul", Run: func(w *world.World) {
		w.Consul("")
		rollingCarrier(w)
	}},
	{Name: "rolling-carrier-static", What: "the same at static addresses", Run: func(w *world.World) {
		var places []string
		for _, name := range rolled {
			places = append(places, fmt.Sprintf("lab/%s=%s", name, w.FreeAddr()))
		}
		w.URL = "static://" + strings.Join(places, ",")
		rollingCarrier(w)
	}},
}

// streams is a load of all kinds of streams.
func streams(w *world.World) world.Load {
	l := w.Usual()
	l.Forms = []history.Form{history.Multicall, history.TypedWatch, history.TypedImport, history.TypedSync, history.TypedCall, history.TypedCast}
	l.Items, l.Length = 20, time.Millisecond
	return l
}

// tlsResets checks that each stream that reports success is complete at both ends, and that none
// hangs.
func tlsResets(w *world.World) {
	w.TLS()
	names := []string{"s1", "s2", "s3"}
	proxies := behind(w, role.Server{}, names...)
	l := streams(w)
	l.Forms = append(l.Forms, history.TypedImport, history.TypedSync, history.TypedImport)
	w.Load(l)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); w.Wait(time.Duration(w.Random.IntN(60)) * time.Millisecond) {
		name := names[w.Random.IntN(3)]
		proxies[name].Reset(name)
	}
	w.Reach(100)
}

func tlsKill(w *world.World) {
	w.TLS()
	kill(w)
}

// unlinkedService checks that typed messages reach the servers that have their service, although
// other servers lack it.
func unlinkedService(w *world.World) {
	w.Injectf("servers without the service")
	w.Servers(2)
	w.Serve("without1", role.Server{NoTyped: true})
	w.Serve("without2", role.Server{NoTyped: true})
	w.Excuse("these servers lack the service", "NoSuchMethod", "UnsupportedVersion")
	l := w.Usual()
	l.Forms = []history.Form{history.TypedCall, history.TypedCast, history.TypedFanout, history.TypedWatch, history.TypedImport, history.TypedSync, history.Call}
	w.Load(l)
	w.Wait(10 * time.Second)
	lost := 0
	for _, op := range w.History().Operations {
		if !op.OK && op.Kind != "Remote" {
			lost++
		}
	}
	if lost > 0 {
		w.Violatedf("a typed message goes to a server that has the service", "%d failed", lost)
	}
}

// staticRestart checks that messages wait for a restarting server at a static address.
func staticRestart(w *world.World) {
	listen := map[string]string{"s1": w.FreeAddr(), "s2": w.FreeAddr()}
	w.URL = fmt.Sprintf("static://lab/s1=%s,lab/s2=%s", listen["s1"], listen["s2"])
	for name, addr := range listen {
		w.Serve(name, role.Server{Listen: addr})
	}
	l := w.Usual()
	l.Servers = []string{"s1", "s2"}
	w.Load(l)
	for n := range 10 {
		w.Reach(100)
		name := []string{"s1", "s2"}[n%2]
		w.Restart(name, role.Server{Listen: listen[name]})
	}
	w.Reach(200)
}

// rollingVersion restarts the servers of 1.2, one after the other, beside servers of 1.1. No
// message at 1.2 may fail.
func rollingVersion(w *world.World, listen map[string]string) {
	for _, name := range []string{"old1", "old2"} {
		w.Serve(name, role.Server{Version: "1.1", NoTyped: true, Listen: listen[name]})
	}
	names := []string{"new1", "new2"}
	for _, name := range names {
		w.Serve(name, role.Server{Listen: listen[name]})
	}
	w.Injectf("rolling restart of a version")
	l := w.Usual()
	l.Processes, l.Callers, l.Version, l.Servers, l.Timeout = 2, 8, "1.2", names, 20*time.Second
	l.Forms = []history.Form{history.Call, history.Cast}
	w.Load(l)
	for n := range 8 {
		w.Reach(200)
		w.Restart(names[n%2], role.Server{Listen: listen[names[n%2]]})
	}
	w.Reach(200)
}

// rolled are the servers that are replaced.
var rolled = []string{"s1", "s2", "s3"}

// rollingCarrier replaces the servers of a build without sessions by servers of this build, and
// back, under the load of clients of both builds. No message may fail.
func rollingCarrier(w *world.World) {
	old, is := w.Before("internal/service/session.go")
	if !is {
		w.Eventf(history.Noted, "", "Git does not have the older build; servers of this one take no sessions")
		old.Env = []string{"OSLORPC_CARRIER=unary"}
	}
	w.Injectf("rolling between builds")
	listen := map[string]string{}
	if places, static := strings.CutPrefix(w.URL, "static://"); static {
		for place := range strings.SplitSeq(places, ",") {
			name, addr, _ := strings.Cut(strings.TrimPrefix(place, "lab/"), "=")
			listen[name] = addr
		}
	}
	for _, name := range rolled {
		w.ServeAt(name, role.Server{Listen: listen[name], NoSessions: true}, old)
	}
	l := w.Usual()
	l.Servers = rolled
	w.Load(l)
	l.Where = old
	w.Load(l)
	for range world.Scale(w, 3, 1) {
		for _, name := range rolled {
			w.Reach(200)
			w.RestartAt(name, role.Server{Listen: listen[name]}, world.Place{})
		}
		w.Reach(1000)
		for _, name := range rolled {
			w.Reach(200)
			w.RestartAt(name, role.Server{Listen: listen[name], NoSessions: true}, old)
		}
	}
	w.Reach(1000)
}
