// Package consultest runs real Consul agents for tests.
package consultest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/oslorpc/oslorpc/internal/testbin"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	// readyWithin is how long an agent may take to start. On an idle machine it takes about 0.2 s.
	readyWithin = 60 * time.Second
	// attempts is how often we try to start an agent. A try fails if another process takes a port
	// after we found it free and before the agent listens on it.
	attempts = 5
	// logTail is how many bytes of the agent's log a failed test shows.
	logTail = 4 << 10
)

// TB is the part of testing.TB that an agent needs. The laboratory implements TB itself, since its
// agents belong to no test.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Skip(args ...any)
	TempDir() string
	Cleanup(do func())
	Failed() bool
}

// Agent is a Consul agent. Start starts one in development mode: the agent is a server, the only
// member of its cluster, and stores no data on disk. Join starts one that belongs to the cluster of
// such a server. All ports are on 127.0.0.1. Only one goroutine may use an Agent.
type Agent struct {
	tb     TB
	binary string
	dir    string
	config []string
	addr   string
	// https is the address of the HTTPS API, or empty if there is none.
	https string
	// serf is the address for gossip.
	serf string
	// server is the agent whose cluster this agent joined. It is nil if the agent is its own
	// cluster.
	server *Agent
	// process is the last process of the agent, or nil if none could be started.
	process *process
}

// Start starts an agent and waits until it is ready. When the test ends, the agent is killed, and
// the end of its log is shown if the test failed. Each config is a configuration file in HCL, in
// addition to our own configuration.
func Start(tb TB, config ...string) *Agent {
	tb.Helper()
	return start(tb, nil, append([]string{"performance { raft_multiplier = 1 }"}, config...))
}

// StartHTTPS starts an agent like Start. The agent has an HTTPS API that requires client
// certificates. The files are a certificate for 127.0.0.1, its key, and the authorities of the
// clients.
func StartHTTPS(tb TB, files trust.Config, config ...string) *Agent {
	tb.Helper()
	ports, err := freePorts(1)
	if err != nil {
		tb.Fatalf("consultest: %v", err)
	}
	a := start(tb, nil, append(config, fmt.Sprintf(`
performance { raft_multiplier = 1 }
ports { https = %d }
tls { https { ca_file = %q, cert_file = %q, key_file = %q, verify_incoming = true } }`, ports[0], files.CA, files.Cert, files.Key)))
	a.https = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	return a
}

// Join starts an agent like Start. The agent is not a server, and joins the cluster of the given
// server.
func Join(tb TB, server *Agent, config ...string) *Agent {
	tb.Helper()
	return start(tb, server, config)
}

func start(tb TB, server *Agent, config []string) *Agent {
	tb.Helper()
	binary, err := testbin.Find("consul", filepath.Join("tools", "consul"), "github.com/hashicorp/consul")
	if err != nil {
		tb.Fatalf("consultest: finding the program consul: %v", err)
	}
	a := &Agent{tb: tb, binary: binary, dir: tb.TempDir(), server: server}
	for n, text := range config {
		file := filepath.Join(a.dir, fmt.Sprintf("%d.hcl", n))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatalf("consultest: %v", err)
		}
		a.config = append(a.config, "-config-file="+file)
	}
	tb.Cleanup(a.clean)
	a.start()
	return a
}

// Addr returns the host and port of the HTTP API. A restart does not change them.
func (a *Agent) Addr() string { return a.addr }

// HTTPSAddr returns the host and port of the HTTPS API, for an agent that StartHTTPS started.
func (a *Agent) HTTPSAddr() string { return a.https }

// URL returns the transport URL.
func (a *Agent) URL() string { return "consul://" + a.addr }

// Kill kills the agent with SIGKILL and returns when it is dead.
func (a *Agent) Kill() {
	if a.process != nil {
		a.process.kill()
	}
}

// Restart kills the agent if it runs, and starts it again without its data.
func (a *Agent) Restart() {
	a.tb.Helper()
	a.Kill()
	a.start()
}

// start starts the agent and waits until it is ready.
func (a *Agent) start() {
	a.tb.Helper()
	var err error
	for range attempts {
		if err = a.try(); err == nil {
			return
		}
		a.Kill()
		a.tb.Logf("consultest: %v", err)
	}
	a.tb.Fatalf("consultest: Consul did not start in %d attempts", attempts)
}

// try starts the agent on ports that were free a moment ago. If the agent already has an address
// for the HTTP API, try uses this address again.
func (a *Agent) try() error {
	addr := a.addr
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	if addr == "" {
		addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	}
	if err := a.launch(addr, ports[1], ports[2]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if err := waitReady(ctx, addr, a.process); err != nil {
		return fmt.Errorf("the agent at %s: %w", addr, err)
	}
	a.addr = addr
	return nil
}

func (a *Agent) launch(addr string, server, serf int) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(a.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	node := "test-" + rand.Text()
	args := []string{
		"agent", "-node=" + node, "-bind=127.0.0.1", "-client=127.0.0.1", "-http-port=" + port,
		"-dns-port=-1", "-grpc-port=-1", "-serf-wan-port=-1",
		"-server-port=" + strconv.Itoa(server), "-serf-lan-port=" + strconv.Itoa(serf),
	}
	a.serf = net.JoinHostPort("127.0.0.1", strconv.Itoa(serf))
	if a.server == nil {
		args = append(args, "-dev")
	} else {
		args = append(args, "-data-dir="+filepath.Join(a.dir, "data"), "-retry-join="+a.server.serf)
	}
	args = append(args, a.config...)
	cmd := exec.CommandContext(context.Background(), a.binary, args...) //nolint:gosec // The arguments are ours.
	cmd.Stdout, cmd.Stderr = log, log
	a.process, err = startProcess(node, cmd)
	return err
}

// clean kills the agent, and shows its log if the test failed.
func (a *Agent) clean() {
	a.Kill()
	if !a.tb.Failed() {
		return
	}
	text, err := os.ReadFile(a.logFile())
	if err != nil {
		a.tb.Logf("consultest: %v", err)
	}
	if cut := len(text) - logTail; cut > 0 {
		text = append([]byte("..."), text[cut:]...)
	}
	a.tb.Logf("consultest: the log of the agent at %s:\n%s", a.addr, bytes.TrimSpace(text))
}

func (a *Agent) logFile() string { return filepath.Join(a.dir, "log") }
