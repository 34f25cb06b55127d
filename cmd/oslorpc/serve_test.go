//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/serve"
)

func TestServeEndsCleanly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("stays")
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		server := f.serve(s.String())
		server.signal(s)
		if code := server.code(); code != 0 {
			t.Errorf("%v: exit code %d", s, code)
		}
		f.find(1, s.String(), "stopping: ")
		if got := f.servers(); !slices.Equal(got, []string{"stays"}) {
			t.Errorf("%v: ls shows %v", s, got)
		}
	}
	if files, err := filepath.Glob(f.dir + "/*.json"); err != nil || len(files) != 1 {
		t.Errorf("the registry has %v, %v", files, err)
	}
	if sockets, err := filepath.Glob(f.dir + "/*.sock"); err != nil || len(sockets) != 1 {
		t.Errorf("the directory has %v, %v", sockets, err)
	}
}

func TestServeFinishesAcceptedMessages(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := f.serve("node1")
	call := f.start("client", "call", "demo", "sleep", "seconds:=1.5")
	f.running("node1", 1)
	server.signal(syscall.SIGTERM)
	if call, serve := call.code(), server.code(); call != 0 || serve != 0 {
		t.Errorf("the call has exit code %d, the server %d", call, serve)
	}
}

func TestSecondSignalEndsServeAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := f.serve("node1")
	call := f.start("client", "call", "demo", "sleep", "seconds:=60")
	f.running("node1", 1)
	server.signal(syscall.SIGTERM)
	f.find(1, "node1", "stopping: ")
	server.signal(syscall.SIGTERM)
	if code := server.code(); code != cli.ExitInterrupted {
		t.Errorf("the server has exit code %d", code)
	}
	// Either the connection breaks first, or the method reports that it was canceled.
	if code := call.code(); code != 5 && code != 6 {
		t.Errorf("the call has exit code %d", code)
	}
}

func TestServeEndsWithItsInput(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	quiet := f.start("client", "serve", "--topic", "demo", "--until-input-ends")
	if code := quiet.code(); code != 0 { // its input is empty
		t.Errorf("exit code %d", code)
	}
}

func TestServeInJSON(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := f.serve("node1", "--output", "json")
	f.ok("call", "demo", "add", "a:=1", "b:=2")
	f.ok("call", "demo", "count", "n:=3")
	f.run("call", "demo", "fail", "message=boom")
	server.signal(syscall.SIGTERM)
	if code := server.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	f.find(1, "node1", `"stopping"`)
	lines := f.output.Lines()
	events := make([]string, 0, len(lines))
	for _, l := range lines {
		e := parse[serve.EntryDocument](t, l.Text)
		events = append(events, strings.TrimSpace(fmt.Sprint(e.Event, " ", e.Method, " ", e.Arguments, " ", e.Result, " ", e.Error)))
	}
	want := []string{
		"ready  <nil> <nil>", "ran add map[a:1 b:2] 3", "ran count map[n:3] map[items:3]",
		"ran fail map[message:boom] <nil> boom", "stopping  <nil> <nil>",
	}
	if !slices.Equal(events, want) {
		t.Errorf("got %q, want %q", events, want)
	}
	if r := parse[serve.ReadyDocument](t, lines[0].Text); r.ProcessID != server.Process.Pid || r.Server != "node1" || r.Address == "" {
		t.Errorf("got %+v", r)
	}
}

func TestServeQuietly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := f.serve("node1", "-q")
	f.ok("call", "demo", "whoami", "-n", "10")
	server.signal(syscall.SIGTERM)
	server.code()
	if got := f.output.End(); got != 2 {
		t.Errorf("it printed %d lines", got)
	}
}

func TestServeListens(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	dir, err := os.MkdirTemp("", "oslorpc") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	first := taken.Addr().(*net.TCPAddr).Port
	for server, args := range map[string][]string{
		"unix":      {"--listen", "unix:" + dir + "/s"},
		"range":     {"--listen", fmt.Sprintf("127.0.0.1:%d-%d", first, min(first+50, 65535))},
		"advertise": {"--listen", "0.0.0.0:0", "--insecure", "--advertise", "localhost"},
	} {
		f.serve(server, args...)
		f.ok("call", "demo", "whoami", "--server", server)
	}
	r := f.ok("ls")
	for _, want := range []string{"unix:" + dir + "/s", "localhost:"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%s is not there:\n%s", want, r.out)
		}
	}
	wantCode(t, f.run("serve", "--topic", "demo", "--listen", taken.Addr().String()), cli.ExitUsage)
}

func TestDefaultServerIsTheHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	serve := f.start("host", "serve", "--topic", "demo")
	f.find(1, "host", "ready: ")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got := f.servers(); !slices.Equal(got, []string{host}) {
		t.Errorf("got %v, want %s", got, host)
	}
	serve.signal(syscall.SIGTERM)
	serve.code()
}

func TestKilledServerLeaves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, two, _ := f.serveThree()
	two.signal(syscall.SIGKILL)
	eventually(t, 2*time.Second, "ls shows the others only", func() bool {
		return slices.Equal(f.servers(), []string{"node1", "node3"})
	})
	servers, _ := answers(t, f.run("call", "demo", "whoami", "-n", "10"))
	if servers["node1"]+servers["node3"] != 10 {
		t.Errorf("got %v", servers)
	}
}
