//go:build unix

// Package neutron tests the programs of examples/neutron as processes, and the claims of the
// README.
package neutron

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const source = "../../../examples/neutron/"

func TestMain(m *testing.M) { programtest.Main(m, source+"neutron-server", source+"neutron-agent") }

var api = oslorpc.Target{Topic: "neutron"}

// startAgents starts agents on hosts and waits until they have read everything.
func startAgents(t *testing.T, url string, hosts []string, flags ...string) map[string]*programtest.Process {
	t.Helper()
	agents := map[string]*programtest.Process{}
	for _, host := range hosts {
		agents[host] = programtest.Start(t, url, "neutron-agent", append([]string{"--host", host}, flags...)...)
	}
	for _, a := range agents {
		a.Await("because it starts")
	}
	return agents
}

func startServer(t *testing.T, url string, flags ...string) *programtest.Process {
	t.Helper()
	s := programtest.Start(t, url, "neutron-server", append([]string{"--host", "ctl1"}, flags...)...)
	s.Await("ready")
	return s
}

func createNetwork(o programtest.Operator, name string) neutronrpc.Network {
	return programtest.Ask[neutronrpc.Network](o, api, "create_network", map[string]any{"name": name})
}

// Three agents are notified about a network and its ports. One agent is killed, misses a network,
// and is in sync again when it is back.
func TestAgentsServeNetworks(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url)
		agents := startAgents(t, url, []string{"net1", "net2", "net3"})
		o := programtest.NewOperator(t, url)
		blue := createNetwork(o, "blue")
		for _, a := range agents {
			a.Await("serves network blue at 10.0.0.")
		}
		port := programtest.Ask[neutronrpc.Port](o, api, "create_port", map[string]any{"network_id": blue.ID})
		for _, a := range agents {
			a.Await("serves port " + port.ID)
		}
		programtest.Until(t, "the port is active", func() bool { return portStatus(o, port.ID) == "ACTIVE" })
		o.Do(api, "update_port", map[string]any{"id": port.ID, "name": "a name that agents do not see"})
		o.Do(api, "update_port", map[string]any{"id": port.ID, "dns_name": "www"})
		for _, a := range agents {
			if line := a.Await("serves port " + port.ID); !strings.HasSuffix(line, " as www") {
				t.Errorf("%s prints %q", a.Name, line)
			}
		}

		agents["net2"].Kill()
		createNetwork(o, "green")
		agents["net1"].Await("serves network green")
		agents["net3"].Await("serves network green")
		back := programtest.Start(t, url, "neutron-agent", "--host", "net2")
		back.Await("serves network blue", "serves network green", "because it starts: 2 networks")

		o.Do(api, "delete_network", map[string]any{"id": blue.ID})
		for _, a := range []*programtest.Process{agents["net1"], back, agents["net3"]} {
			a.Await("no longer serves network blue")
		}
		if left := programtest.Ask[[]neutronrpc.Network](o, api, "list_networks", nil); len(left) != 1 || left[0].Name != "green" {
			t.Errorf("networks: %+v", left)
		}
	})
}

func portStatus(o programtest.Operator, id string) string {
	ports := programtest.Ask[[]neutronrpc.Port](o, oslorpc.Target{Topic: neutronrpc.PluginTopic}, "get_ports",
		map[string]any{"filters": map[string][]string{"id": {id}}})
	if len(ports) != 1 {
		return ""
	}
	return ports[0].Status
}

// An agent that was silent for so long that the server considered it dead reads everything when it
// reports again.
func TestRevivedAgentReadsEverything(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url, "--agent-down-time", "500ms")
		for name, agent := range map[string]string{"DHCP agent": "dhcp", "L3 agent": "l3"} {
			a := startAgents(t, url, []string{agent}, "--agents", agent, "--report-interval", "200ms")[agent]
			o := programtest.NewOperator(t, url)
			alive := func() bool {
				known := programtest.Ask[[]neutronrpc.Agent](o, oslorpc.Target{Topic: neutronrpc.ReportsTopic, Version: "1.4"}, "get_agents",
					map[string]any{"filters": map[string][]string{"host": {agent}}})
				return len(known) == 1 && known[0].Alive
			}
			programtest.Until(t, "the agent is alive", alive)
			a.Signal(syscall.SIGSTOP)
			programtest.Until(t, "the agent is taken for dead", func() bool { return !alive() })
			a.Signal(syscall.SIGCONT)
			a.Await(name + " reads everything, because the server") // the rest of the line varies: the server took the agent for dead, or its answer was lost
			programtest.Until(t, "the agent is alive", alive)
		}
	})
}

// If an agent did not accept a message in time, the next message tells it so, and it reads
// everything.
func TestAgentThatMissedAMessageReadsEverything(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url, "--notify-timeout", "500ms")
		a := startAgents(t, url, []string{"net1"})["net1"]
		o := programtest.NewOperator(t, url)
		createNetwork(o, "blue")
		a.Await("serves network blue")
		a.Signal(syscall.SIGSTOP)
		createNetwork(o, "green")
		a.Signal(syscall.SIGCONT)
		createNetwork(o, "red")
		a.Await("reads everything, because a sender could not deliver a message")
		a.Await("serves network green", "serves network red")
	})
}

// Agents are notified about a change even if an agent hangs and the operator does not wait.
func TestAgentsHearOfAChangeThoughTheOperatorLeft(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url, "--notify-timeout", "2s")
		a := startAgents(t, url, []string{"net1"})["net1"]
		hangs := startAgents(t, url, []string{"net2"}, "--agents", "l2")["net2"]
		hangs.Await("because it starts") // each agent prints it twice, and startAgents awaited the first
		hangs.Signal(syscall.SIGSTOP)
		o := programtest.NewOperator(t, url)
		impatient := o.Client(api, oslorpc.WithTimeout(500*time.Millisecond))
		_, err := oslorpc.Call[any](t.Context(), impatient, "create_network", map[string]any{"name": "blue"})
		if oslorpc.KindOf(err) != oslorpc.Timeout {
			t.Errorf("the operator did not stop waiting: %v", err)
		}
		a.Await("serves network blue")
		hangs.Signal(syscall.SIGCONT)
	})
}

// An agent whose registration was lost for a while reads everything.
func TestAgentReadsEverythingAfterConsulLostIt(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	startServer(t, consul.URL())
	a := startAgents(t, consul.URL(), []string{"net1"})["net1"]
	consul.Restart()
	a.Await("DHCP agent reads everything, because")
}

// slowServer is a server whose first answer is late.
type slowServer struct {
	neutronrpc.DhcpRPC // the agent calls no other method

	asked, answer chan struct{}
}

func (s slowServer) GetActiveNetworksInfo(context.Context, neutronrpc.ActiveNetworksArgs) ([]neutronrpc.Network, error) {
	close(s.asked)
	<-s.answer
	return nil, nil
}

func (slowServer) GetNetworkInfo(_ context.Context, args neutronrpc.NetworkArgs) (*neutronrpc.Network, error) {
	return &neutronrpc.Network{ID: args.NetworkID, Name: "blue", Subnets: []neutronrpc.Subnet{{ID: "s", NetworkID: args.NetworkID}}}, nil
}

func (slowServer) CreateDhcpPort(context.Context, neutronrpc.CreatePortArgs) (*neutronrpc.Port, error) {
	return &neutronrpc.Port{ID: "p", FixedIPs: []neutronrpc.FixedIP{{SubnetID: "s", IPAddress: "10.0.0.2"}}}, nil
}

func (slowServer) DhcpReadyOnPorts(context.Context, neutronrpc.PortsArgs) error { return nil }

// A change that arrives while an agent reads everything for the first time waits until the agent
// has finished.
func TestChangesWaitForTheFirstSync(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		o := programtest.NewOperator(t, url)
		slow := slowServer{asked: make(chan struct{}), answer: make(chan struct{})}
		s := o.Server(oslorpc.Target{Topic: neutronrpc.PluginTopic, Server: "ctl1"})
		s.Add(neutronrpc.DhcpRPCCallback(slow))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		reports := o.Server(oslorpc.Target{Topic: neutronrpc.ReportsTopic, Server: "ctl1"})
		reports.Add(oslorpc.Endpoint{Version: "1.2", Fallback: oslorpc.Func(func(context.Context, oslorpc.Raw) (any, error) {
			return nil, errors.New("the database is locked") // an agent must not wait because of this error
		})})
		if err := reports.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := programtest.Start(t, url, "neutron-agent", "--host", "net1", "--report-interval", "200ms")
		<-slow.asked
		if state := instances(t, o, neutronrpc.DhcpAgentTopic)[0].State; state != oslorpc.StateHeld {
			t.Errorf("while it reads, the agent is %s", state)
		}
		notifier := neutronrpc.NewDhcpAgentNotifyAPI(o.Transport, nil)
		if err := notifier.NetworkAddedToAgent(t.Context(), "n", "net1"); err != nil {
			t.Fatal(err)
		}
		if line, early := a.Take("serves"); early {
			t.Errorf("before it has read everything it prints %q", line)
		}
		close(slow.answer)
		a.Await("because it starts: 0 networks", "serves network blue")
	})
}

func instances(t *testing.T, o programtest.Operator, topic string) []oslorpc.Instance {
	t.Helper()
	all, err := o.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(i oslorpc.Instance) bool { return i.Topic != topic })
}

// The RPC workers of a host have one name and take turns.
func TestWorkersShareAName(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url, "--rpc-workers", "3")
		o := programtest.NewOperator(t, url)
		workers := instances(t, o, "neutron")
		addresses := map[string]bool{}
		for _, w := range workers {
			addresses[w.Addr] = true
			if w.Server != "ctl1" {
				t.Errorf("a worker is named %q", w.Server)
			}
			programtest.Until(t, "each worker has had a message", func() bool {
				o.Do(api, "list_networks", nil)
				info, err := o.Info(t.Context(), w, oslorpc.WithRequests())
				return err == nil && len(info.Servers) == 1 && len(info.Servers[0].Requests) == 1
			})
		}
		if len(addresses) != 3 {
			t.Errorf("the workers are %+v", workers)
		}
	})
}

// Routers move between hosts. If an agent is not notified about a router, no agent serves it.
func TestAgentsServeRouters(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url)
		agents := startAgents(t, url, []string{"net1", "net2"}, "--agents", "l3,metering", "--report-interval", "1s")
		for _, a := range agents {
			a.Await("because it starts: 0 routers") // each agent prints two such lines, and startAgents awaited the first
		}
		o := programtest.NewOperator(t, url)
		r := programtest.Ask[neutronrpc.Router](o, api, "create_router", map[string]any{"name": "r1"})
		agents["net1"].Await("serves router r1")
		blue := createNetwork(o, "blue")
		to := map[string]any{"router_id": r.ID, "network_id": blue.ID}
		o.Do(api, "add_router_interface", to)
		agents["net1"].Await("serves router r1 at 10.0.0.1")
		for method, args := range map[string]map[string]any{
			"add_router_interface": to, // there is one
			"delete_network":       {"id": blue.ID},
		} {
			if err := o.Refused(api, method, args); oslorpc.KindOf(err) != oslorpc.Remote {
				t.Errorf("%s: %v", method, err)
			}
		}
		o.Do(api, "create_metering_label", map[string]any{"router_id": r.ID, "remote_ip_prefix": "10.0.0.0/8"})
		agents["net1"].Await("meters router r1, with 1 labels")

		o.Do(api, "add_router_to_agent", map[string]any{"router_id": r.ID, "host": "net2"})
		agents["net1"].Await("no longer serves router r1")
		agents["net2"].Await("serves router r1")
		agents["net2"].Await("metering agent reads everything, because time passed: 1 routers")

		agents["net1"].Kill()
		err := o.Refused(api, "add_router_to_agent", map[string]any{"router_id": r.ID, "host": "net1"})
		if oslorpc.KindOf(err) != oslorpc.Remote {
			t.Errorf("to an agent that is dead: %v", err)
		}
		agents["net2"].Await("no longer serves router r1")
		left := programtest.Ask[[]neutronrpc.Router](o, oslorpc.Target{Topic: neutronrpc.L3PluginTopic}, "sync_routers",
			map[string]any{"host": "net1", "router_ids": nil})
		if len(left) > 0 {
			t.Errorf("net1 is dead and has routers %v", left)
		}
		programtest.Start(t, url, "neutron-agent", "--host", "net3", "--agents", "l3").Await("because it starts: 1 routers") // no agent served it
		o.Do(api, "delete_router", map[string]any{"id": r.ID})
		o.Do(api, "delete_network", map[string]any{"id": blue.ID})
	})
}

// L2 agents get networks in the version that they know, and are notified about each other's
// addresses.
func TestAgentsKeepCopies(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url)
		old := programtest.Start(t, url, "neutron-agent", "--host", "net1", "--agents", "l2", "--network-version", "1.0")
		old.Await("knows that net1 has the address", "0 networks, as of version 1.0")
		current := programtest.Start(t, url, "neutron-agent", "--host", "net2", "--agents", "l2")
		current.Await("knows that net1 has the address", "0 networks, as of version 1.1")
		old.Await("knows that net2 has the address")

		o := programtest.NewOperator(t, url)
		blue := createNetwork(o, "blue")
		old.Await("network blue is updated, as of version 1.0, with mtu 0")
		current.Await("network blue is updated, as of version 1.1, with mtu 1500")
		o.Do(api, "delete_network", map[string]any{"id": blue.ID})
		old.Await("network blue is deleted, as of version 1.0")
		current.Await("network blue is deleted, as of version 1.1")
	})
}

// A program that is started with wrong arguments says what is wrong.
func TestMistakes(t *testing.T) {
	for _, c := range [][]string{
		{"neutron-agent"}, {"neutron-agent", "--host", "a", "--agents", "x"}, {"neutron-agent", "--host", "a", "more"},
		{"neutron-agent", "--host", "a", "--report-interval", "0s"}, {"neutron-agent", "--host", "a", "--agents", "dhcp,l3,dhcp"},
		{"neutron-agent", "--host", "a", "--agents", "l2", "--network-version", "1.2"},
		{"neutron-server", "--rpc-workers", "0"}, {"neutron-server", "--dhcp-agents-per-network", "0"}, {"neutron-server", "more"},
		{"neutron-server", "--agent-down-time", "0s"}, {"neutron-server", "--notify-timeout", "-1s"},
	} {
		p := programtest.Start(t, programtest.Local(t), c[0], c[1:]...)
		if code := p.Ended(); code != 1 {
			t.Errorf("%q ends with %d", c, code)
		}
	}
}

// Agents may start before the server. They say that they wait.
func TestAgentsWaitForAServer(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		a := programtest.Start(t, url, "neutron-agent", "--host", "net1", "--agents", "dhcp,l3,metering,l2")
		a.Await("waits for a neutron-server")
		startServer(t, url)
		a.Await("DHCP agent reads everything", "L3 agent reads everything", "metering agent reads everything",
			"L2 agent (DVR) reads everything", "L2 agent (networks) reads everything")
	})
}

// A restarted server has forgotten everything. The agents learn that when they report.
func TestServerIsRestarted(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		s := startServer(t, url)
		a := startAgents(t, url, []string{"net1"}, "--report-interval", "200ms")["net1"]
		o := programtest.NewOperator(t, url)
		createNetwork(o, "blue")
		a.Await("serves network blue")
		s.Kill()
		startServer(t, url)
		a.Await("because the server did not know it: 0 networks", "no longer serves network blue")
		createNetwork(o, "green")
		a.Await("serves network green")
	})
}

// A disabled agent serves nothing and is not notified about changes. When it is enabled, it is in
// sync again.
func TestDisabledAgent(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		startServer(t, url)
		agents := startAgents(t, url, []string{"net1", "net2"})
		o := programtest.NewOperator(t, url)
		blue := createNetwork(o, "blue")
		for _, a := range agents {
			a.Await("serves network blue")
		}
		enable := func(up bool, networks string) {
			o.Do(api, "set_agent", map[string]any{"host": "net2", "agent_type": "DHCP agent", "admin_state_up": up})
			agents["net2"].Await("because it was enabled or disabled: " + networks)
		}
		enable(false, "0 networks")
		agents["net2"].Await("no longer serves network blue")
		port := programtest.Ask[neutronrpc.Port](o, api, "create_port", map[string]any{"network_id": blue.ID})
		agents["net1"].Await("serves port " + port.ID)
		enable(true, "1 networks") // messages arrive in order, so an earlier one would be here
		agents["net2"].Await("serves network blue")
		if line, told := agents["net2"].Take(port.ID); told {
			t.Errorf("while it is disabled it prints %q", line)
		}
		o.Do(api, "delete_port", map[string]any{"id": port.ID})
	})
}
