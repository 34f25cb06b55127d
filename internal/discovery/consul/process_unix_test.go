//go:build unix

package consul

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/freeze"
)

// TestProcess has a process that is stopped for longer than its TTL, continues, and is killed.
func TestProcess(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	w := watchCompute(t, r)
	process, i := startPublisher(t, agent.URL()+"?ttl=1s")
	w.list(i)
	note := fmt.Sprintf("process %d, is alive", process.Pid)
	eventually(t, "it sent a sign of life", func() bool {
		checks, err := r.client.api.Agent().ChecksWithFilter(fmt.Sprintf("Output contains %q", note))
		return err == nil && len(checks) == 1
	})
	must(t, freeze.Process(process))
	w.list()
	must(t, process.Signal(syscall.SIGCONT))
	w.list(i)
	must(t, process.Kill())
	w.list()
	if listed, err := r.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("List after the process was killed: %v, %v, want nothing", listed, err)
	}
}
