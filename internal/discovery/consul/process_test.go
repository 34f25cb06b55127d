package consul

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// publishTo is an environment variable that makes the test binary publish an instance at an
// address, and do nothing else.
const publishTo = "OSLORPC_TEST_PUBLISH_TO"

// publishUntilKilled publishes an instance, prints it, and waits for the end of its input.
func publishUntilKilled(address string) {
	r, err := Open(address, slog.Default())
	if err != nil {
		panic(err)
	}
	i := instance("child")
	if err := r.Publish(context.Background(), []rpc.Instance{i}); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(i); err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// startPublisher starts a process that publishes an instance.
func startPublisher(t *testing.T, address string) (*os.Process, rpc.Instance) {
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
	var i rpc.Instance
	must(t, json.Unmarshal(line, &i))
	return cmd.Process, i
}
