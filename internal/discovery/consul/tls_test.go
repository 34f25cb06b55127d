package consul

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// secured is an agent that requires client certificates.
type secured struct {
	agent     *consultest.Agent
	authority *tlstest.Authority
	// files are the files of a program, in a separate directory.
	files trust.Config
	// url is the URL without parameters.
	url string
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	authority := tlstest.New(t)
	s := &secured{authority: authority, files: authority.Local("program").Write(filepath.Join(t.TempDir(), "program"))}
	s.agent = consultest.StartHTTPS(t, authority.Local("agent.example").Write(filepath.Join(t.TempDir(), "agent")))
	s.url = "consul://" + s.agent.HTTPSAddr()
	return s
}

func (s *secured) parameters() string {
	return "?consul-ca=" + s.files.CA + "&consul-cert=" + s.files.Cert + "&consul-key=" + s.files.Key
}

// logged opens a handle that logs to a buffer.
func logged(t *testing.T, address string) (*Registry, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	r, err := Open(address, slog.New(slog.NewTextHandler(log, nil)))
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.Background())) })
	return r, log
}

// TestTLS has an agent that requires client certificates, and replaces the files of a program.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	r := open(t, s.url+s.parameters())
	one := instance("one")
	publish(t, r, one)
	watchCompute(t, r).list(one)
	named := open(t, s.url+s.parameters()+"&consul-tls=true&consul-server-name=agent.example")
	watchCompute(t, named).list(one)

	other := tlstest.New(t)
	foreign := other.Local("program").Write(filepath.Join(t.TempDir(), "foreign"))
	for parameters, want := range map[string]string{
		"":                         "consul-tls=true",
		"?consul-tls=true":         "consul-ca",
		"?consul-ca=" + foreign.CA: "consul-ca",
		"?consul-ca=" + s.files.CA: "consul-cert",
		"?consul-insecure=true":    "consul-cert",
		"?consul-cert=" + foreign.Cert + "&consul-key=" + foreign.Key + "&consul-ca=" + s.files.CA: "consul-cert",
		s.parameters() + "&consul-server-name=other":                                               "consul-server-name",
	} {
		_, err := open(t, s.url+parameters).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("List with %q: %v, want an error with %q", parameters, err, want)
		}
	}
	if _, err := open(t, "consul://"+s.agent.Addr()+s.parameters()).List(t.Context()); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("List with TLS from an agent without: %v, want an error that says so", err)
	}

	other.Local("program").Write(filepath.Dir(s.files.CA))
	r.client.close() // its connections are kept, and would not notice
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("List with the files of another authority: %v, want an error of kind %q", err, rpc.Unreachable)
	}
	s.authority.Local("program").Write(filepath.Dir(s.files.CA))
	r.client.close()
	if _, err := r.List(t.Context()); err != nil {
		t.Errorf("List with renewed files: %v", err)
	}
}

// TestTLSFromEnvironment configures TLS with the variables of Consul's own command line.
func TestTLSFromEnvironment(t *testing.T) {
	s := startSecured(t)
	for name, value := range map[string]string{
		"CONSUL_HTTP_SSL": "true", "CONSUL_CACERT": s.files.CA, "CONSUL_CLIENT_CERT": s.files.Cert, "CONSUL_CLIENT_KEY": s.files.Key,
		"CONSUL_TLS_SERVER_NAME": "agent.example",
	} {
		t.Setenv(name, value)
	}
	list := func(parameters string) (string, error) {
		r, log := logged(t, s.url+parameters)
		_, err := r.List(t.Context())
		return log.String(), err
	}
	if log, err := list(""); err != nil || log != "" {
		t.Errorf("List: %v, and logged %q", err, log)
	}
	if _, err := list("?consul-tls=false"); !errors.Is(err, rpc.Invalid) {
		t.Errorf("List where the URL says no TLS: %v, want an error of kind %q", err, rpc.Invalid)
	}
	t.Setenv("CONSUL_CACERT", "")
	t.Setenv("CONSUL_CAPATH", filepath.Dir(s.files.CA))
	if log, err := list(""); err != nil || log != "" {
		t.Errorf("List with a directory of authorities: %v, and logged %q", err, log)
	}

	// Verification must not be turned off silently.
	foreign := tlstest.New(t).Local().Write(t.TempDir())
	t.Setenv("CONSUL_CAPATH", "")
	t.Setenv("CONSUL_CACERT", foreign.CA)
	t.Setenv("CONSUL_HTTP_SSL_VERIFY", "false")
	log, err := list("")
	if !errors.Is(err, rpc.Unreachable) || strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "ignoring CONSUL_HTTP_SSL_VERIFY") {
		t.Errorf("List from an agent of another authority: %v, and logged %q, want an error and a warning", err, log)
	}
	if log, err := list("?consul-insecure=true"); err != nil || strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "not verified") {
		t.Errorf("List without verification: %v, and logged %q, want a warning", err, log)
	}
	t.Setenv("CONSUL_HTTP_SSL", "yes")
	if _, err := Open(s.url, slog.New(slog.DiscardHandler)); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), "CONSUL_HTTP_SSL") {
		t.Errorf("Open with a malformed variable: %v, want an error of kind %q that names it", err, rpc.Invalid)
	}
}
