//go:build unix

// Package introduction tests the programs of examples/introduction as processes.
package introduction

import (
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const source = "../../../examples/introduction/"

func TestMain(m *testing.M) { programtest.Main(m, source+"server", source+"client") }

var executors = []string{string(oslorpc.ExecutorBlocking), string(oslorpc.ExecutorPool)}

// The client calls the server and stops it, with each executor and on both registries.
func TestPrograms(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		for _, executor := range executors {
			server := programtest.Start(t, url, "server", "--executor", executor, "--name", executor)
			client := programtest.Start(t, url, "client", "--server", executor)
			client.Await("test returned hello", "version 1.1: unsupported version", "stop was accepted")
			for _, p := range []*programtest.Process{client, server} {
				if code := p.Ended(); code != 0 || p.Log() != "" {
					t.Errorf("%s: %s exits with %d, and logs %q", executor, p.Name, code, p.Log())
				}
			}
			server.Await("serves, with the executor "+executor, "was stopped")
		}
	})
}

// After a signal, the server prints that it stops, finishes, and exits with 0. It prints that it
// serves only when it does.
func TestSignals(t *testing.T) {
	for _, executor := range executors {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(executor+"/"+s.String(), func(t *testing.T) {
				t.Parallel()
				url := programtest.Local(t)
				server := programtest.Start(t, url, "server", "--executor", executor)
				server.Await("serves")
				if n := len(listed(t, url)); n != 1 {
					t.Errorf("the server says that it serves, and %d are listed", n)
				}
				server.Signal(s)
				if code := server.Ended(); code != 0 || server.Log() != "" {
					t.Errorf("the server exits with %d, and logs %q", code, server.Log())
				}
				server.Await("stopping server server1", "server server1 was stopped")
			})
		}
	}
}

func listed(t *testing.T, url string) []oslorpc.Instance {
	t.Helper()
	transport, err := oslorpc.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	list, err := transport.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The shell session in the README works as shown.
func TestReadme(t *testing.T) {
	programtest.ReadSession(t, source+"README.md").Run(t, "../../..", programtest.Local(t))
}
