//go:build unix

// Package pages runs the shell sessions in pages of docs.
package pages

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/internal/testbin"
	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/internal/workloadtest"
)

const (
	repository = "../../.."
	docs       = repository + "/docs/"
)

func TestMain(m *testing.M) {
	programtest.Main(m, repository+"/cmd/oslorpc", repository+"/examples/nova-rpc")
}

// varying matches what differs each time: addresses, processes, times and the columns after them.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`(?:127\.0\.0\.1:\d+|10\.0\.0\.1:7000|unix:[^\s,)]+?\.sock)`), Instead: "ADDRESS"},
	{Pattern: regexp.MustCompile(`process \d+`), Instead: "process 1"},
	{Pattern: regexp.MustCompile(`"server":"node\d"`), Instead: `"server":"node1"`},
	{Pattern: regexp.MustCompile(`"pid":\d+`), Instead: `"pid":1`},
	{Pattern: regexp.MustCompile(`^time=\S+ level=INFO .*`), Instead: ""},
	{Pattern: regexp.MustCompile(`up (in )?\d\w*`), Instead: "up 1s"},
	{Pattern: regexp.MustCompile(`(active +\S+ +)\w+ +\S+$`), Instead: "${1}1s BUILD"},
	{Pattern: regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), Instead: "NOW"},
	{Pattern: regexp.MustCompile(`counted for \w+`), Instead: "counted for 1s"},
	{Pattern: regexp.MustCompile(`oslorpc@\S+`), Instead: "oslorpc@HOST"},
	{Pattern: regexp.MustCompile(`user:\d+ +\d+`), Instead: "user:1 8"},
	{Pattern: regexp.MustCompile(`[0-9a-f]{16}\.1$`), Instead: "INSTANCE"},
	{Pattern: regexp.MustCompile(`as failure \w+`), Instead: "as failure ID"},
	{Pattern: regexp.MustCompile(`\d+\.\d+ ms`), Instead: "1 ms"},
	{Pattern: regexp.MustCompile(`^stopping: new messages go elsewhere.*`), Instead: ""},
	{Pattern: regexp.MustCompile(` {2,}`), Instead: "  "},
}

// The shell sessions in the pages work as shown.
func TestPages(t *testing.T) {
	for _, name := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("the pages use %s: %v", name, err)
		}
	}
	grpcurl, err := testbin.Find("grpcurl", "tools", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	if err != nil {
		t.Fatal(err)
	}
	bin := []string{filepath.Dir(programtest.Path("oslorpc")), filepath.Dir(grpcurl), os.Getenv("PATH")}
	t.Setenv("PATH", bin[0]+":"+bin[1]+":"+bin[2])
	for name, session := range map[string]programtest.Session{
		"command-line": programtest.ReadSession(t, docs+"command-line.md"),
		"upgrades":     programtest.ReadSession(t, docs+"upgrades.md"),
		"gateway":      programtest.ReadSession(t, docs+"gateway.md"),
		"http":         programtest.ReadSession(t, docs+"http.md"),
		"zones":        programtest.ReadSession(t, docs+"zones.md"),
		"discovery":    programtest.ReadSession(t, docs+"discovery.md"),
		"policy":       programtest.ReadSession(t, docs+"policy.md"),
		"security":     programtest.ReadSession(t, docs+"security.md"),
		"find-a-fault": programtest.ReadSession(t, docs+"find-a-fault.md"),
		"attach":       programtest.ReadSession(t, docs+"attach.md"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, port := range []string{"127.0.0.1:7001", "127.0.0.1:8600", "127.0.0.1:8080"} {
				session = session.Replace(port, freeAddress(t))
			}
			session = session.Replace("unix:///run/spire/agent.sock", workloadAPI(t))
			session.Run(t, t.TempDir(), programtest.Local(t), varying...)
		})
	}
}

// The session in the README of examples/nova-rpc works as shown.
func TestNovaRPCReadme(t *testing.T) {
	masks := append([]programtest.Mask{
		{Pattern: regexp.MustCompile(`compute\d\.`), Instead: "compute1."},
		{Pattern: regexp.MustCompile(`since \d\d:\d\d:\d\d`), Instead: "since NOW"},
		{Pattern: regexp.MustCompile(`scheduler-\d+`), Instead: "scheduler-1"},
	}, varying...)
	// A script sends commands before the workers are ready. Each worker writes to its file when it
	// is.
	const await = "until [ -s .bin/compute1.log ] && [ -s .bin/compute2.log ]; do sleep 0.1; done; "
	programtest.ReadSession(t, repository+"/examples/nova-rpc/README.md").
		Replace("go run ./examples/nova-rpc", programtest.Path("nova-rpc")).
		Replace("go build -o .bin/ ./examples/nova-rpc", "go build -o .bin/ ./examples/nova-rpc && rm -f .bin/compute?.log").
		Replace(".bin/nova-rpc --transport local:// --workers 0", await+".bin/nova-rpc --transport local:// --workers 0").
		Replace("local://", programtest.Local(t)).
		Run(t, repository, programtest.Local(t), masks...)
}

// The commands in docs/mesh.md create intentions in a real Consul.
func TestIntentions(t *testing.T) {
	consul, err := testbin.Find("consul", "tools/consul", "github.com/hashicorp/consul")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(consul)+":"+os.Getenv("PATH"))
	t.Setenv("CONSUL_HTTP_ADDR", consultest.Start(t).Addr())
	programtest.ReadSession(t, docs+"mesh.md").Run(t, t.TempDir(), "")
}

// The command in docs/decisions/registry-drivers.md counts packages, whose number changes with the
// code.
func TestCountOfPackages(t *testing.T) {
	number := programtest.Mask{Pattern: regexp.MustCompile(`^ *[12]\d\d$`), Instead: "NUMBER"}
	programtest.ReadSession(t, docs+"decisions/registry-drivers.md").Run(t, repository, "", number)
}

// workloadAPI returns the address of a Workload API that gives a certificate to the program of a
// conductor.
func workloadAPI(t *testing.T) string {
	t.Helper()
	authority, api := tlstest.New(t), workloadtest.New(t)
	subject := tlstest.Subject{URIs: []string{"spiffe://example.org/topic/conductor"}}
	api.Give(authority.Issue(subject), []*tlstest.Authority{authority}, nil)
	return api.Address
}

// freeAddress returns a free address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
