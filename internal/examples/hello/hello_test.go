//go:build unix

// Package hello tests the programs that the README shows.
package hello

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	readme = "../../../README.md"
	source = "../../../examples/hello/"
)

func TestMain(m *testing.M) { programtest.Main(m, source+"server", source+"client") }

var ports = programtest.Mask{Pattern: regexp.MustCompile(`(?:127\.0\.0\.1:\d+|unix:\S+?\.sock)`), Instead: "PORT"}

// The README shows the programs unchanged and complete, except for their first comment.
func TestReadmeShowsThePrograms(t *testing.T) {
	text := read(t, readme)
	for _, file := range []string{"server/main.go", "client/main.go"} {
		_, program, _ := strings.Cut(read(t, source+file), "\n")
		if !strings.Contains(text, "```go\n"+program+"```\n") {
			t.Errorf("the README does not show %s unchanged", file)
		}
	}
}

// The shell session in the README works as shown.
func TestReadmeSession(t *testing.T) {
	session := programtest.ReadSession(t, readme, "## A server and a client")
	if len(session) != 4 {
		t.Errorf("the README shows %d commands", len(session))
	}
	session.Run(t, "../../..", programtest.Local(t), ports)
}

// The curl session in the README works as shown.
func TestReadmeSessionOfCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	session := programtest.ReadSession(t, readme, "## From curl, or any gRPC stub")
	if len(session) != 8 {
		t.Errorf("the README shows %d commands", len(session))
	}
	for _, port := range []string{"8600", "8080"} {
		session = session.Replace(port, freePort(t))
	}
	session.Run(t, "../../..", programtest.Local(t), ports)
}

// freePort returns a free port.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// A signal ends the server cleanly: it exits with 0 and logs no warnings.
func TestSignalsEndTheServerCleanly(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			server := programtest.StartAsIs(t, programtest.Local(t), "server")
			server.Await("ready at unix:")
			server.Signal(s)
			if code := server.Ended(); code != 0 || server.Log() != "" {
				t.Errorf("the server exits with %d, and logs %q", code, server.Log())
			}
		})
	}
}

// Servers are replaced one by one while calls continue. No call fails.
func TestCallsOutliveASignal(t *testing.T) {
	url := programtest.Local(t)
	server := programtest.StartAsIs(t, url, "server")
	server.Await("ready")
	transport, err := oslorpc.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	c := transport.Client(oslorpc.Target{Topic: "hello", Version: "1.0"})
	ctx, enough := context.WithCancel(t.Context())
	calls := make(chan error)
	go func() { calls <- callUntil(ctx, c) }()
	for range 3 {
		next := programtest.StartAsIs(t, url, "server")
		next.Await("ready")
		server.Stop()
		server = next
	}
	enough()
	if err := <-calls; err != nil {
		t.Error(err)
	}
}

// callUntil calls the servers until ctx ends or a call fails.
func callUntil(ctx context.Context, c *oslorpc.Client) error {
	for ctx.Err() == nil {
		greeting, err := oslorpc.Call[string](context.WithoutCancel(ctx), c, "greet", map[string]any{"name": "you"})
		if err != nil || greeting != "hello you" {
			return fmt.Errorf("a call returned %q, %w", greeting, err)
		}
	}
	return nil
}

// Users copy code from documents, and go vet refuses structs of another package with unnamed
// fields.
func TestDocumentsNameFields(t *testing.T) {
	unnamed := regexp.MustCompile(`Variants\{\{"|^\s+\{"\d+\.\d+", `)
	for _, file := range []string{readme, "../../../docs/versions.md", "../../../docs/semantics.md", "../../../pkg/oslorpc/variants.go"} {
		for n, line := range strings.Split(read(t, file), "\n") {
			if unnamed.MatchString(line) {
				t.Errorf("%s:%d: %s", file, n+1, line)
			}
		}
	}
}

// The variants in docs/versions.md are the code of an example that the compiler and go vet check.
func TestVariantsCompile(t *testing.T) {
	_, after, _ := strings.Cut(read(t, "../../../docs/versions.md"), "resize := oslorpc.Variants{\n")
	shown, _, found := strings.Cut(after, "out, err :=")
	if !found {
		t.Fatal("the page shows no variants")
	}
	example := read(t, "../../../pkg/oslorpc/example_versions_test.go")
	for line := range strings.Lines(shown) {
		if !strings.Contains(example, strings.TrimSpace(line)) {
			t.Errorf("no example has the page's line %q", line)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
