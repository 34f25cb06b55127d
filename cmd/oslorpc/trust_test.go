//go:build unix

package main

import (
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/internal/workloadtest"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// connecting are command lines that succeed, one for every command that connects.
var connecting = []string{
	"ls", "ls demo", "ping demo", "info demo", "versions demo", "versions why demo", "deprecations demo",
	"upgrade check demo --to 1.0 --timeout 1s",
	"call demo whoami", "cast demo echo a=1", "fanout demo echo a=1", "multicall demo count n:=2",
}

// Every command works on a fleet that requires certificates, however the certificates are
// configured. Without certificates, only ls succeeds, since it connects to no server.
func TestEveryCommandWithTLS(t *testing.T) {
	for _, name := range trust.Variables() {
		t.Setenv(name, "")
	}
	files := tlstest.New(t).Local("localhost").Write(t.TempDir())
	flags := []string{"--ca", files.CA, "--cert", files.Cert, "--key", files.Key}
	f := newFleet(t)
	f.serve("node1", flags...)
	f.serve("node2", append(flags, "--listen", "0.0.0.0:0", "--advertise", "localhost")...)
	parameters := url.Values{"ca": {files.CA}, "cert": {files.Cert}, "key": {files.Key}}
	for way, run := range map[string]func(t *testing.T, words []string) result{
		"flags": func(_ *testing.T, words []string) result { return f.run(append(words, flags...)...) },
		"URL": func(_ *testing.T, words []string) result {
			return runWith("", append(words, "--transport", f.url+"?"+parameters.Encode())...)
		},
		"environment": func(t *testing.T, words []string) result {
			t.Helper()
			t.Setenv(trust.CAVariable, files.CA)
			t.Setenv(trust.CertVariable, files.Cert)
			t.Setenv(trust.KeyVariable, files.Key)
			return f.run(words...)
		},
		"a flag over a variable": func(t *testing.T, words []string) result {
			t.Helper()
			t.Setenv(trust.CAVariable, "/nonexistent")
			return f.run(append(words, flags...)...)
		},
	} {
		t.Run(way, func(t *testing.T) {
			for _, line := range connecting {
				wantCode(t, run(t, strings.Fields(line)), 0)
			}
		})
	}
	t.Run("without", func(t *testing.T) {
		for _, line := range []string{
			"ping demo --timeout 1s", "info demo --timeout 1s", "call demo whoami --timeout 1s", "cast demo echo --timeout 1s",
			"multicall demo count n:=2 --timeout 1s", "fanout demo echo --timeout 1s",
		} {
			if r := f.run(strings.Fields(line)...); r.code == 0 {
				t.Errorf("%s succeeds without a certificate: %s", line, r.out)
			}
		}
	})
}

// Every command can also get its certificate from a Workload API. A server that has another name
// receives nothing.
func TestEveryCommandWithWorkloadAPI(t *testing.T) {
	for _, name := range trust.Variables() {
		t.Setenv(name, "")
	}
	authority := tlstest.New(t)
	api := func(id string) string {
		a := workloadtest.New(t)
		a.Give(authority.Issue(tlstest.Subject{URIs: []string{id}}), []*tlstest.Authority{authority}, nil)
		return a.Address
	}
	f := newFleet(t)
	f.serve("node1", "--workload-api", api("spiffe://example.org/topic/demo"))
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", api("spiffe://example.org/user/ann"))
	for _, line := range connecting {
		wantCode(t, f.run(append(strings.Fields(line), "--workload-api", "auto", "--identity", "spiffe://example.org/topic/{topic}")...), 0)
	}
	r := f.run("call", "demo", "whoami", "--workload-api", "auto", "--identity", "spiffe://example.org/{topic}")
	if r.code == 0 || !strings.Contains(r.errs, "must prove spiffe://example.org/demo; it proved spiffe://example.org/topic/demo") {
		t.Errorf("the call ends with %d: %s", r.code, r.errs)
	}
}

// A server and a watch also read their configuration from the environment.
func TestServeWithTLSFromTheEnvironment(t *testing.T) {
	files := tlstest.New(t).Local("localhost").Write(t.TempDir())
	t.Setenv(trust.CAVariable, files.CA)
	t.Setenv(trust.CertVariable, files.Cert)
	t.Setenv(trust.KeyVariable, files.Key)
	f := newFleet(t)
	f.serve("node1")
	f.ok("call", "demo", "whoami")
	watch := f.start("watch", "watch", "demo")
	f.find(1, "watch", "node1")
	watch.signal(syscall.SIGINT)
	watch.code()
	t.Setenv(trust.CAVariable, "")
	t.Setenv(trust.CertVariable, "")
	t.Setenv(trust.KeyVariable, "")
	if r := f.run("call", "demo", "whoami", "--timeout", "1s"); r.code == 0 {
		t.Error("a call without TLS succeeds")
	}
}

// An error in the flags for connections names the flag.
func TestTrustFlagErrors(t *testing.T) {
	dir := t.TempDir()
	files := tlstest.New(t).Local("localhost").Write(dir)
	missing := filepath.Join(dir, "missing")
	for line, want := range map[string]string{
		"ls --ca " + missing:                              `--ca: there is no file "` + missing,
		"ls --ca " + dir:                                  "--ca: \"" + dir + "\" is a directory",
		"ls --cert " + files.Cert:                         "set --key, too",
		"ls --key " + files.Key:                           "set --cert, too",
		"ls --cert " + files.Key + " --key " + files.Cert: "--cert: \"" + files.Key + "\" has no certificate, but PRIVATE KEY",
		"ls --ca=":                                        "--ca is empty",
		"ls --workload-api /run/agent.sock":               "give one such as unix:///run/spire/agent.sock",
		"ls --workload-api auto --ca " + files.CA:         "leave out --workload-api, or all of these",
		"ls --insecure --ca " + files.CA:                  "leave one of them out",
		"demo --ca " + files.CA:                           "--ca has no effect: demo connects only",
		"version --insecure":                              "--insecure has no effect: version connects to no",
		"serve --topic demo --ca " + files.CA:             "set --cert and --key beside --ca",
		"ls --transport memory://x?ca=" + missing:         "the transport URL's ca: there is no file",
		"ls --transport memory://x?insecure=perhaps":      "write true or false",
		"ls --transport memory://x?ca=a&ca=b":             "must be given once",
		"ls --transport memory://x?cas=a":                 "nothing but a name",
	} {
		r := runWith("", strings.Fields(line)...)
		if r.code != 2 || !strings.Contains(r.errs, want) {
			t.Errorf("%s: exit code %d, want 2 and %q in\n%s", line, r.code, want, r.errs)
		}
	}
}
