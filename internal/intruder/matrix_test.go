package intruder

import (
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/internal/testbin"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// pairing is a server and a client, with what each trusts and presents.
type pairing struct {
	// server returns the server's configuration, and client the client's. The client's certificates
	// are in files, which grpcurl also reads.
	server func(m *matrix) trust.Config
	client func(m *matrix) trust.Config
	// works is true if the message is delivered. Otherwise, library and line are texts in the
	// errors of this library and of grpcurl.
	works         bool
	library, line string
	// unread is true if this library refuses the client's files before it connects. The error then
	// has the kind Invalid.
	unread bool
	// logs is true if the server logs a failed handshake.
	logs bool
	// blind is true if grpcurl cannot notice the problem, since grpcurl does not check identities.
	blind bool
}

// matrix is one server and a client.
type matrix struct {
	fleet

	others *tlstest.Authority
	dir    string
}

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

// proves returns a certificate for a name with a period of validity.
func (m *matrix) proves(by *tlstest.Authority, name string, from, to time.Duration) *tlstest.Certificate {
	return by.Issue(tlstest.Subject{URIs: []string{name}, IPs: loopback, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)})
}

const (
	past, soonest, later = -2 * time.Hour, -time.Hour, time.Hour
)

// serverWith returns a server with a certificate, which may be one that cannot be loaded from a
// file.
func serverWith(by func(m *matrix) *tlstest.Authority, name string, from, to time.Duration) func(m *matrix) trust.Config {
	return func(m *matrix) trust.Config {
		config := m.proves(by(m), name, from, to).Mutual()
		config.ClientCAs = m.authority.Pool
		return trust.Config{TLS: config}
	}
}

// clientWith returns a clerk with a certificate.
func clientWith(by func(m *matrix) *tlstest.Authority, from, to time.Duration, change func(m *matrix, c *trust.Config)) func(m *matrix) trust.Config {
	return func(m *matrix) trust.Config {
		c := m.proves(by(m), clerk, from, to).Write(filepath.Join(m.dir, "client"))
		m.authority.Replace(c.CA, m.authority.PEM())
		c.Identity = template
		change(m, &c)
		return c
	}
}

func pairings() map[string]pairing {
	ours := func(m *matrix) *tlstest.Authority { return m.authority }
	others := func(m *matrix) *tlstest.Authority { return m.others }
	asIs := func(*matrix, *trust.Config) {}
	name := serverName("payments", "payments-1")
	server, client := serverWith(ours, name, soonest, later), clientWith(ours, soonest, later, asIs)
	plain := func(*matrix) trust.Config { return trust.Config{} }
	return map[string]pairing{
		"the right certificates": {server: server, client: client, works: true},
		"no client certificate": {
			server: server, client: clientWith(ours, soonest, later, func(_ *matrix, c *trust.Config) { c.Cert, c.Key = "", "" }),
			library: "requires a certificate of its clients, and this client has none: check cert and key (--cert", line: "certificate required", logs: true,
		},
		"a client certificate of another authority": {
			server: server, client: clientWith(others, soonest, later, asIs),
			library: "does not trust the authority that signed the certificate of this client", line: "certificate required", logs: true,
		},
		"an expired client certificate": {
			server: server, client: clientWith(ours, past, soonest, asIs), unread: true,
			library: "expired at ", line: "certificate", logs: true,
		},
		"a client certificate that is early": {
			server: server, client: clientWith(ours, later, 2*later, asIs), unread: true,
			library: "is valid only from ", line: "certificate", logs: true,
		},
		"a server certificate of another authority": {
			server: serverWith(others, name, soonest, later), client: client,
			library: "has a certificate that no trusted authority signed", line: "unknown authority", logs: true,
		},
		"an expired server certificate": {
			server: serverWith(ours, name, past, soonest), client: client,
			library: "has a certificate that expired at ", line: "expired", logs: true,
		},
		"a server certificate that is early": {
			server: serverWith(ours, name, later, 2*later), client: client,
			library: "has a certificate that is not valid before ", line: "not yet valid", logs: true,
		},
		"another name": {
			server: server, client: clientWith(ours, soonest, later, func(_ *matrix, c *trust.Config) { c.ServerName = "db.example" }),
			library: `"db.example" is expected: check server-name`, line: "db.example", logs: true,
		},
		"the identity of another server": {
			server: serverWith(ours, agent, soonest, later), client: client, blind: true,
			library: "must prove " + name + "; it proved " + agent,
		},
		"a client in plaintext": {
			server: server, client: plain, library: "requires TLS, and this client connects in plaintext: check ca", line: "", logs: true,
		},
		"a server in plaintext": {
			server: plain, client: client, library: "does not speak TLS, and this client requires it", line: "first record does not look like a TLS handshake",
		},
	}
}

// TestTrustMatrix checks that each client is served or refused at once, and that both ends report
// the cause of a refusal. Only the messages of trusted clients are delivered.
func TestTrustMatrix(t *testing.T) {
	t.Parallel()
	for name, p := range pairings() {
		for user, use := range map[string]func(t *testing.T, m *matrix, p *pairing, c trust.Config){
			"Go client": viaLibrary, "command line": viaCommand, "grpcurl": viaGrpcurl,
		} {
			t.Run(name+"/"+user, func(t *testing.T) {
				t.Parallel()
				m := newMatrix(t, &p)
				use(t, m, &p, p.client(m))
				want := 0
				if p.works || p.blind && user == "grpcurl" {
					want = 1
				}
				if ran := m.journal.of(""); len(ran) > 0 {
					t.Errorf("it ran for a caller without a proof: %v", ran)
				}
				m.journal.mu.Lock()
				defer m.journal.mu.Unlock()
				if n := len(m.journal.all); n != want {
					t.Errorf("%d messages were delivered, want %d: %v", n, want, m.journal.all)
				}
			})
		}
	}
}

func newMatrix(t *testing.T, p *pairing) *matrix {
	t.Helper()
	m := &matrix{fleet: fleet{url: "local://" + filepath.Join(t.TempDir(), "r"), authority: tlstest.New(t), servers: map[string]*oslorpc.Server{}}}
	m.others, m.dir = tlstest.Named(t, "others"), t.TempDir()
	m.servers["payments-1"] = m.serve(t, m.open(t, p.server(m), &m.log), "payments", "payments-1")
	return m
}

// checkLog fails unless the server logged a failed handshake when logs is true, and only then.
func (m *matrix) checkLog(t *testing.T, logs bool) {
	t.Helper()
	n := 0
	if logs {
		n = 1
	}
	m.log.wantHandshakes(t, n)
}

func viaLibrary(t *testing.T, m *matrix, p *pairing, c trust.Config) {
	kind := rpc.Untrusted
	transport, err := oslorpc.Open(m.url, oslorpc.WithTrust(c), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	began := time.Now()
	if p.unread {
		kind = rpc.Invalid
	} else if err == nil {
		defer transport.Close()
		_, err = oslorpc.Call[string](t.Context(), transport.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(time.Minute)), "transfer", nil)
	}
	if p.works {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if rpc.KindOf(err) != kind || !rpc.SafeToRetry(err) && kind == rpc.Untrusted || err != nil && !strings.Contains(err.Error(), p.library) {
		t.Errorf("got %s, want %s with %q: %v", rpc.KindOf(err).Name(), kind.Name(), p.library, err)
	}
	t.Logf("it took %v", time.Since(began))
	m.checkLog(t, p.logs && !p.unread)
}

func viaCommand(t *testing.T, m *matrix, p *pairing, c trust.Config) {
	args := []string{"call", "payments", "transfer", "--transport", m.url, "--timeout", "60s"}
	for flag, value := range map[string]string{"--ca": c.CA, "--cert": c.Cert, "--key": c.Key, "--server-name": c.ServerName, "--identity": c.Identity} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	code := 3
	switch {
	case p.works:
		code = 0
	case p.unread:
		code = 2
	}
	began := time.Now()
	got, out := execute(t, programtest.Path("oslorpc"), args...)
	if got != code || code != 0 && !strings.Contains(out, p.library) {
		t.Errorf("exit code %d, want %d with %q:\n%s", got, code, p.library, out)
	}
	t.Logf("it took %v", time.Since(began))
	m.checkLog(t, p.logs && !p.unread)
}

func viaGrpcurl(t *testing.T, m *matrix, p *pairing, c trust.Config) {
	args := []string{"-plaintext"}
	if c.CA != "" {
		args = []string{"-cacert", c.CA}
	}
	if c.Cert != "" {
		args = append(args, "-cert", c.Cert, "-key", c.Key)
	}
	if c.ServerName != "" {
		args = append(args, "-servername", c.ServerName)
	}
	args = append(args, "-connect-timeout", "10", "-d", `{"message":{"target":{"topic":"payments"},"method":"transfer"}}`,
		m.instance("payments-1").Addr, "oslorpc.v1.RPCService/Call")
	got, out := execute(t, grpcurl(t), args...)
	if works := p.works || p.blind; works != (got == 0) || !works && !strings.Contains(out, p.line) {
		t.Errorf("exit code %d, want success %v, or %q:\n%s", got, works, p.line, out)
	}
	if p.logs {
		m.checkLog(t, true)
	}
}

// grpcurl returns the path of grpcurl.
func grpcurl(t *testing.T) string {
	t.Helper()
	path, err := testbin.Find("grpcurl", "tools", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs a program and returns its exit code and output.
func execute(t *testing.T, path string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(soon(t), path, args...)
	for _, name := range trust.Variables() {
		cmd.Env = append(cmd.Environ(), name+"=")
	}
	printed, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
		t.Fatalf("%s: %v\n%s", filepath.Base(path), err, printed)
	}
	return cmd.ProcessState.ExitCode(), string(printed)
}
