//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are environment variables of a helper process: its directory, its ID, and whether it starts
// a child that outlives it.
const (
	helperDir    = "OSLORPC_TEST_LOCAL_DIR"
	helperID     = "OSLORPC_TEST_LOCAL_ID"
	helperParent = "OSLORPC_TEST_LOCAL_PARENT"
)

// helper is a process that publishes an instance, reports this, and closes the registry at the end
// of its input.
func helper(dir string) {
	r, err := Open(&url.URL{Scheme: "local", Path: dir})
	if err == nil {
		err = r.Publish(context.Background(), []rpc.Instance{instance(os.Getenv(helperID))})
	}
	if err == nil && os.Getenv(helperParent) != "" {
		// The child has our standard input, so it ends with the test.
		child := exec.Command("cat")
		child.Stdin = os.Stdin
		err = child.Start()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := r.Close(context.Background()); err != nil {
		os.Exit(1)
	}
}

type process struct {
	*exec.Cmd
	t     *testing.T
	stdin io.Closer
}

func start(t *testing.T, dir, id string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), helperDir+"="+dir, helperID+"="+id), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the helper process says %q, %v", line, err)
	}
	return &process{Cmd: cmd, t: t, stdin: stdin}
}

// kill ends the process with SIGKILL.
func (p *process) kill() {
	p.t.Helper()
	if err := p.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.Process.Wait(); err != nil {
		p.t.Fatal(err)
	}
}

func TestProcesses(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	ch := updates(t, r)
	until(t, ch)
	a, b := start(t, dir, "a"), start(t, dir, "b")
	wantIDs(t, r, "a", "b")
	until(t, ch, "a", "b")

	a.kill()
	wantIDs(t, r, "b")
	until(t, ch, "b")
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("with one process left the directory has %q", left)
	}

	if err := b.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(); err != nil {
		t.Errorf("the helper process: %v", err)
	}
	wantIDs(t, r)
	until(t, ch)
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("without processes the directory has %q", left)
	}
}

// TestKilledBeforeFirstLook has a reader that never saw the process alive.
func TestKilledBeforeFirstLook(t *testing.T) {
	dir := newDir(t)
	start(t, dir, "a").kill()
	wantIDs(t, openAt(t, dir))
}

// TestChildDoesNotInheritLock kills a process that has a child. The child must not make its parent
// look alive.
func TestChildDoesNotInheritLock(t *testing.T) {
	dir := newDir(t)
	p := start(t, dir, "a", helperParent+"=1")
	r := openAt(t, dir)
	wantIDs(t, r, "a")
	p.kill()
	wantIDs(t, r)
}
