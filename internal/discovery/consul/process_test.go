package consul

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/discovery"
)

// publishTo is the environment variable that has the test binary publish an instance there, and nothing else.
const publishTo = "OSLORPC_TEST_PUBLISH_TO"

// publishUntilKilled publishes an instance, prints it, and waits for its input to end.
func publishUntilKilled(address string) {
	r, err := Open(address, slog.Default())
	if err != nil {
		panic(err)
	}
	i := instance("child")
	if err := r.Publish(context.Background(), []discovery.Instance{i}); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(i); err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// startPublisher starts a process that publishes an instance.
func startPublisher(t *testing.T, address string) (*os.Process, discovery.Instance) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), publishTo+"="+address)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	must(t, err)
	var i discovery.Instance
	must(t, json.Unmarshal(line, &i))
	return cmd.Process, i
}

// TestProcess has a process that is stopped for longer than its TTL, goes on, and is killed.
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
	must(t, process.Signal(syscall.SIGSTOP))
	w.list()
	must(t, process.Signal(syscall.SIGCONT))
	w.list(i)
	must(t, process.Kill())
	w.list()
	if listed, err := r.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("List after the process was killed: %v, %v, want nothing", listed, err)
	}
}
