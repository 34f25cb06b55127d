package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// socketPath is an environment variable that makes TestSocketProcess a process that listens at this
// path.
const socketPath = "OSLORPC_TEST_SOCKET"

// TestSocketProcess is not a test. It is the code of the processes in the other tests: listen with
// a umask that protects nothing, report this, and wait for the end of the input. The word "many"
// makes it listen many times first.
func TestSocketProcess(t *testing.T) {
	path, many := strings.CutPrefix(os.Getenv(socketPath), "many:")
	if path == "" {
		t.Skip("this is for the other tests")
	}
	syscall.Umask(0)
	for range 500 {
		if !many {
			break
		}
		l, err := listenUnix(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	l, err := listenUnix(t.Context(), path)
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	defer l.Close()
	fmt.Println("listening")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the other test ends
}

// listener is a process that may listen.
type listener struct {
	cmd   *exec.Cmd
	input io.Closer
	said  *bufio.Reader
}

func startListener(t *testing.T, path string) *listener {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSocketProcess$", "-test.v=false")
	cmd.Env = append(os.Environ(), socketPath+"="+path)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &listener{cmd, input, bufio.NewReader(output)}
	t.Cleanup(l.kill)
	return l
}

// listens waits until the process listens or has failed, and reports whether it listens.
func (l *listener) listens(t *testing.T) bool {
	t.Helper()
	line, err := l.said.ReadString('\n')
	if err != nil || line != "listening\n" && !strings.Contains(line, "another process listens") {
		t.Fatalf("the process says %q: %v", line, err)
	}
	return line == "listening\n"
}

func (l *listener) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait() // it was killed
	_ = l.input.Close()
}

// connect returns the error of a connection to a socket.
func connect(path string) error {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func TestSocketIsPrivateFromTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, "many:"+path)
	ready := make(chan bool, 1)
	go func() { ready <- l.listens(t) }()
	seen := 0
	for {
		select {
		case <-ready:
			if seen == 0 {
				t.Error("the test never saw the socket")
			}
			return
		default:
		}
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		seen++
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Fatalf("the socket has the mode %v: %v", info.Mode(), err)
		}
	}
}

// If many processes find the socket of a dead process, exactly one listens, and clients reach it.
func TestOneProcessListensOnASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	dead := startListener(t, path)
	if !dead.listens(t) {
		t.Fatal("the first process does not listen")
	}
	for range 5 {
		dead.kill()
		if err := connect(path); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("the socket of a dead process: %v", err)
		}
		all := make([]*listener, 6)
		for n := range all {
			all[n] = startListener(t, path)
		}
		var live []*listener
		for _, l := range all {
			if l.listens(t) {
				live = append(live, l)
			}
		}
		if err := connect(path); len(live) != 1 || err != nil {
			t.Fatalf("%d processes listen, and clients get %v", len(live), err)
		}
		dead = live[0]
	}
}

// A process that accepts no connections and whose backlog is full keeps its socket.
func TestBusySocketIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if startListener(t, path).listens(t) {
		t.Error("another process took the socket")
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket was replaced: %v", err)
	}
}

func TestOtherFilesAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Symlink(filepath.Join(dir, "nothing"), link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if l, err := listenUnix(t.Context(), path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
			t.Errorf("%s: got %v and %v", path, l, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := listenUnix(t.Context(), filepath.Join(dir, "nothing", "s")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

func TestLockOfDirectoryIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lockDirectory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockDirectory(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	unlock()
	unlock, err = lockDirectory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
