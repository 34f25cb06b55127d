package main

import (
	"bytes"
	"context"
	"errors"
	"log"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a server of networks that fails when the test says so.
type server struct {
	neutronrpc.DhcpRPC

	mu       sync.Mutex
	networks []neutronrpc.Network // that the agent reads
	failure  error                // of create_dhcp_port on network n
	unready  int                  // how often dhcp_ready_on_ports fails
	reading  chan struct{}        // if it is not nil, reading everything waits until it is closed
	gone     bool                 // networks are not there any more
	hanging  chan struct{}        // if it is not nil, calls about network "slow" wait until it is closed
}

// hang blocks if the network is "slow".
func (s *server) hang(ctx context.Context, network string) {
	if network == "slow" && s.hanging != nil {
		select {
		case <-s.hanging:
		case <-ctx.Done():
		}
	}
}

func (s *server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

func (s *server) have(networks ...neutronrpc.Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.networks = networks
}

func blue() neutronrpc.Network {
	return neutronrpc.Network{ID: "n", Name: "blue", Subnets: []neutronrpc.Subnet{{ID: "s", NetworkID: "n"}}}
}

func (s *server) GetActiveNetworksInfo(context.Context, neutronrpc.ActiveNetworksArgs) ([]neutronrpc.Network, error) {
	s.mu.Lock()
	networks, reading := s.networks, s.reading
	s.mu.Unlock()
	if reading != nil {
		<-reading
	}
	return networks, nil
}

func (s *server) GetNetworkInfo(ctx context.Context, args neutronrpc.NetworkArgs) (*neutronrpc.Network, error) {
	s.hang(ctx, args.NetworkID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, nil
	}
	n := blue()
	n.ID = args.NetworkID
	return &n, nil
}

func (s *server) CreateDhcpPort(ctx context.Context, args neutronrpc.CreatePortArgs) (*neutronrpc.Port, error) {
	s.hang(ctx, args.Port.Port.NetworkID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if args.Port.Port.NetworkID != "n" {
		return &neutronrpc.Port{ID: "q", NetworkID: args.Port.Port.NetworkID}, nil
	}
	return &neutronrpc.Port{ID: "p", NetworkID: "n"}, s.failure
}

func (*server) ReleaseDhcpPort(context.Context, neutronrpc.ReleasePortArgs) error { return nil }

func (s *server) DhcpReadyOnPorts(context.Context, neutronrpc.PortsArgs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unready--; s.unready >= 0 {
		return errors.New("the database is locked")
	}
	return nil
}

// startAgent runs a DHCP agent until the end of the test, in a fleet with a server. It returns the
// fleet and a notifier of the agent.
func startAgent(t *testing.T, s *server) (*oslorpctest.Fleet, *neutronrpc.DhcpAgentNotifyAPI) {
	t.Helper()
	f := oslorpctest.New(t, neutronrpc.ErrorTypes()...)
	f.Serve(oslorpc.Target{Topic: neutronrpc.PluginTopic, Server: "ctl1"}, []oslorpc.Endpoint{neutronrpc.DhcpRPCCallback(s)})
	f.Serve(oslorpc.Target{Topic: neutronrpc.ReportsTopic, Server: "ctl1"}, []oslorpc.Endpoint{{
		Version: "1.4", Fallback: oslorpc.Func(func(context.Context, oslorpc.Raw) (string, error) { return neutronrpc.AgentAlive, nil }),
	}})
	var out bytes.Buffer
	h := &node{
		options: options{host: "net1", interval: time.Minute}, transport: f.Transport(), out: log.New(&out, "", 0), backoff: &oslorpc.Backoff{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- newDhcpService(h).run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the agent printed\n%s", strings.TrimSpace(out.String()))
		}
	})
	f.Await(1, oslorpctest.For("get_active_networks_info"))
	return f, neutronrpc.NewDhcpAgentNotifyAPI(f.Transport(), nil)
}

// If a change fails, the agent reads everything, except after failures that reading everything
// would not fix.
func TestFailedChanges(t *testing.T) {
	s := &server{}
	f, notify := startAgent(t, s)
	reads := func() int { return len(f.Messages(oslorpctest.For("get_active_networks_info"))) }
	asks := 0
	change := func(failure error) {
		t.Helper()
		s.fail(failure)
		if err := notify.NetworkAddedToAgent(t.Context(), "n", "net1"); err != nil {
			t.Fatal(err)
		}
		asks++
		f.Await(asks, oslorpctest.For("create_dhcp_port"))
	}
	change(&neutronrpc.IPAddressGenerationFailure{NetworkID: "n"})
	change(&neutronrpc.NetworkNotFound{NetworkID: "n"})
	change(nil)
	if n := reads(); n != 1 {
		t.Errorf("it read everything %d times", n)
	}
	change(errors.New("the database is locked"))
	f.Await(2, oslorpctest.For("get_active_networks_info"))
}

// The agent reports a port again until the server has accepted the report. It does not report a
// port that was deleted or that has changed since.
func TestReadyPorts(t *testing.T) { synctest.Test(t, testReadyPorts) }

func testReadyPorts(t *testing.T) {
	f, notify := startAgent(t, &server{unready: 2})
	if err := notify.NetworkAddedToAgent(t.Context(), "n", "net1"); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Await(3, oslorpctest.For("dhcp_ready_on_ports")) {
		if m.Args != `{"port_ids":["p"]}` {
			t.Errorf("the server is told of %s", m.Args)
		}
	}
	q := neutronrpc.Port{ID: "q", NetworkID: "n"}
	for _, event := range []string{"port.delete.end", "port.update.end"} { // the update comes late
		if err := notify.Notify(t.Context(), neutronrpc.DhcpPayload{Port: &q}, event); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // casts have no order
	}
	active := neutronrpc.Port{ID: "a", NetworkID: "n", Status: "ACTIVE", RevisionNumber: 2}
	late := neutronrpc.Port{ID: "a", NetworkID: "n", Status: "DOWN", RevisionNumber: 1}
	for _, p := range []neutronrpc.Port{active, late} {
		if err := notify.Notify(t.Context(), neutronrpc.DhcpPayload{Port: &p}, "port.update.end"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	r := neutronrpc.Port{ID: "r", NetworkID: "n"}
	if err := notify.Notify(t.Context(), neutronrpc.DhcpPayload{Port: &r}, "port.create.end"); err != nil {
		t.Fatal(err)
	}
	if m := f.Await(4, oslorpctest.For("dhcp_ready_on_ports"))[3]; m.Args != `{"port_ids":["r"]}` {
		t.Errorf("the server is told of %s", m.Args)
	}
}

// The agent also reports the ports that it found when it read everything.
func TestPortsAreReadyWhenEverythingIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		f, notify := startAgent(t, s)
		synctest.Wait()
		s.have(blue())
		if err := notify.AgentUpdated(t.Context(), true, "net1"); err != nil {
			t.Fatal(err)
		}
		f.Await(1, oslorpctest.For("dhcp_ready_on_ports"))
	})
}

// A network that cannot be served does not keep the agent from serving others, and the agent tries
// this network again.
func TestNetworkThatCannotBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{failure: errors.New("the database is locked")}
		s.have(blue(), neutronrpc.Network{ID: "m", Name: "green", Subnets: []neutronrpc.Subnet{{ID: "t", NetworkID: "m"}}})
		f, _ := startAgent(t, s)
		var asked []string
		for _, m := range f.Await(2, oslorpctest.For("create_dhcp_port")) {
			asked = append(asked, string(m.Args))
		}
		for _, id := range []string{"n", "m"} {
			if !strings.Contains(strings.Join(asked, " "), `"network_id":"`+id+`"`) {
				t.Errorf("network %s is not served: it asked for %q", id, asked)
			}
		}
		synctest.Wait() // both have failed
		s.fail(nil)
		f.Await(2, oslorpctest.For("get_active_networks_info"))
	})
}

// A network whose calls hang does not block changes of other networks, and does not block reading
// everything.
func TestSlowNetwork(t *testing.T) {
	slow := neutronrpc.Network{ID: "slow", Name: "slow", Subnets: []neutronrpc.Subnet{{ID: "t", NetworkID: "slow"}}}
	for name, begin := range map[string]func(*testing.T, *server, *neutronrpc.DhcpAgentNotifyAPI){
		"a change": func(t *testing.T, _ *server, notify *neutronrpc.DhcpAgentNotifyAPI) {
			t.Helper()
			for range 2 * workers { // more than there are workers
				if err := notify.NetworkAddedToAgent(t.Context(), "slow", "net1"); err != nil {
					t.Fatal(err)
				}
			}
		},
		"reading": func(t *testing.T, s *server, notify *neutronrpc.DhcpAgentNotifyAPI) {
			t.Helper()
			s.have(slow)
			if err := notify.AgentUpdated(t.Context(), true, "net1"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{hanging: make(chan struct{})}
				f, notify := startAgent(t, s)
				synctest.Wait()
				begin(t, s, notify)
				synctest.Wait()
				if err := notify.NetworkAddedToAgent(t.Context(), "n", "net1"); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				f.Await(1, oslorpctest.For("create_dhcp_port"), func(m oslorpctest.Message) bool {
					return strings.Contains(string(m.Args), `"network_id":"n"`)
				})
				if took := time.Since(began); took > time.Second {
					t.Errorf("a network waits %v for another", took)
				}
				close(s.hanging)
			})
		})
	}
}

// If a change arrives while the agent reads everything, the agent does not serve the outdated data
// that it read.
func TestChangeWhileEverythingIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.have(blue())
		f, notify := startAgent(t, s)
		f.Await(1, oslorpctest.For("create_dhcp_port"))
		synctest.Wait()
		s.mu.Lock()
		s.reading, s.gone = make(chan struct{}), true
		s.mu.Unlock()
		if err := notify.AgentUpdated(t.Context(), true, "net1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := notify.NetworkRemovedFromAgent(t.Context(), "n", "net1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(s.reading) // and what was read has the network
		f.Await(1, oslorpctest.For("get_network_info"))
		synctest.Wait()
		if n := len(f.Messages(oslorpctest.For("create_dhcp_port"))); n != 1 {
			t.Errorf("the agent served the network %d times, also when it was gone", n)
		}
	})
}

// An agent reads everything again if the server tells it to, or if an answer that may have said so
// was lost.
func TestReports(t *testing.T) { synctest.Test(t, testReports) }

func testReports(t *testing.T) {
	const interval = time.Minute
	answers := make(chan string, 1)
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: neutronrpc.ReportsTopic, Server: "ctl1"}, []oslorpc.Endpoint{{
		Version: "1.4", Fallback: oslorpc.Func(func(ctx context.Context, _ oslorpc.Raw) (string, error) {
			answer := <-answers
			if answer == "" { // too late
				<-ctx.Done()
			}
			return answer, ctx.Err()
		}),
	}})
	h := &node{options: options{host: "net1", interval: interval}, transport: f.Transport(), backoff: &oslorpc.Backoff{}}
	s := newDhcpService(h)
	for _, c := range []struct{ answer, reason string }{
		{neutronrpc.AgentNew, "did not know it"},
		{neutronrpc.AgentAlive, ""},
		{neutronrpc.AgentRevived, "took it for dead"},
		{"", ""},
		{neutronrpc.AgentAlive, "its answer was lost"},
		{neutronrpc.AgentAlive, ""},
		{"", ""},
		{neutronrpc.AgentRevived, "took it for dead"},
		{neutronrpc.AgentAlive, ""},
	} {
		answers <- c.answer
		if reason := s.report(t.Context()); !strings.Contains(reason, c.reason) || (reason == "") != (c.reason == "") {
			t.Errorf("after the answer %q, everything is read because %q", c.answer, reason)
		}
	}
}
