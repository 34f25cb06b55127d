//go:build linux

package world

import (
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// Agent is a Consul agent.
type Agent struct {
	*consultest.Agent

	w *World
}

// Consul starts an agent. Processes that start from now on use it for discovery. Parameters belong
// to the transport URL, such as "ttl=3s", and config configures the agent.
func (w *World) Consul(parameters string, config ...string) *Agent {
	a := &Agent{consultest.Start(&tb{w: w}, config...), w}
	w.URL = "consul://" + a.Addr()
	if parameters != "" {
		w.URL += "?" + parameters
	}
	return a
}

// Join starts another agent in the cluster of this one.
func (a *Agent) Join() *Agent { return &Agent{consultest.Join(&tb{w: a.w}, a.Agent), a.w} }

// Kill kills the agent.
func (a *Agent) Kill() {
	a.w.Injectf("Consul killed")
	a.Agent.Kill()
}

// Restart starts the agent again, without its data.
func (a *Agent) Restart() {
	a.w.Injectf("Consul without its data")
	a.Agent.Restart()
}

// Pause makes the agent hang.
func (a *Agent) Pause() {
	a.w.Injectf("Consul hung")
	a.Agent.Pause()
}

// Resume ends a Pause.
func (a *Agent) Resume() {
	a.w.Eventf(history.Noted, "", "Consul continues")
	a.Agent.Resume()
}

// Forget removes all services of the agent's node from the catalog, as a gossip partition does. The
// agent still has them.
func (a *Agent) Forget() {
	a.w.Injectf("the catalog forgets")
	client, err := api.NewClient(&api.Config{Address: a.Addr()})
	a.w.Must(err)
	nodes, _, err := client.Catalog().Nodes(nil)
	a.w.Must(err)
	for _, node := range nodes {
		services, _, err := client.Catalog().NodeServiceList(node.Node, nil)
		a.w.Must(err)
		for _, service := range services.Services {
			if service.Service == "consul" {
				continue
			}
			_, err := client.Catalog().Deregister(&api.CatalogDeregistration{Node: node.Node, ServiceID: service.ID}, nil)
			a.w.Must(err)
		}
	}
}

// tb implements the parts of testing.TB that the world needs.
type tb struct {
	w    *World
	dirs int
}

func (t *tb) Helper() {}

func (t *tb) Fatalf(format string, args ...any) { t.w.Fatalf(format, args...) }

func (t *tb) Logf(format string, args ...any) { t.w.Eventf(history.Noted, "", format, args...) }

func (t *tb) Skip(args ...any) { t.w.Skipf("%s", fmt.Sprint(args...)) }

func (t *tb) TempDir() string {
	t.dirs++
	return t.w.Scratch(fmt.Sprintf("consul%d-%d", t.dirs, time.Now().UnixNano()))
}

func (t *tb) Cleanup(do func()) { t.w.cleanup(do) }

func (t *tb) Failed() bool { return false }
