//go:build unix

package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

func TestExitCodesOfMessages(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"call demo whoami", 0, ""},
		{"call nobody whoami --fail-fast", 3, "no server is on the topic"},
		{"call nobody whoami --timeout 100ms", 3, "(waited 1"},
		{"cast nobody whoami --fail-fast", 3, "no server is on the topic"},
		{"multicall nobody whoami --fail-fast", 3, "no server is on the topic"},
		{"call demo whoami --server nobody --fail-fast", 3, `no server named "nobody"`},
		{"call demo sleep seconds:=60 --timeout 1s", 4, "may have run"},
		{"multicall demo count n:=1 interval:=60 --timeout 1s", 4, "may have run"},
		{"call demo fail message=boom", 5, "serve.requestedFailure: boom"},
		{"call demo fail panic:=true", 5, "--output json has the stack"},
		{"call demo sleep seconds:=-1", 5, "write a number from 0 to 86400"},
		{"call demo nope", 7, "there is add, count, echo, fail, sleep, whoami"},
		{"cast demo nope", 7, "there is add"},
		{"call demo whoami --rpc-version 1.1", 7, "offered is 1.0"},
		{"call demo whoami --namespace n", 7, "offered is 1.0 of the default namespace"},
		{"call demo add a=1 b:=2", 8, "; a=1 is text: write a:=1"},
		{"call demo add a:=1.5 b:=2", 8, "wanted integer, got number"},
		{"call demo add a:=1", 8, `missing argument "b"`},
		{"call demo add a:=1 b:=2 c:=3", 8, `no argument "c"`},
		{"multicall demo count n=5", 8, "write n:=5"},
	} {
		t.Run(test.line, func(t *testing.T) {
			t.Parallel()
			r := f.run(strings.Fields(test.line)...)
			wantCode(t, r, test.code)
			if !strings.Contains(r.errs, test.want) {
				t.Errorf("it lacks %q: %s", test.want, r.errs)
			}
			if test.code == 0 {
				return
			}
			r = f.run(append(strings.Fields(test.line), "--output", "json")...)
			wantCode(t, r, test.code)
			if e := parse[cli.Failure](t, r.errs); e.ExitCode != test.code || e.Message == "" || e.Kind == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestRemoteErrorForPrograms(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	r := f.run("call", "demo", "fail", "panic:=true", "--output", "json")
	wantCode(t, r, 5)
	e := parse[cli.Failure](t, r.errs)
	if e.Kind != "Remote" || e.SafeToRetry || e.Server != "node1" || e.Remote == nil {
		t.Fatalf("got %+v", e)
	}
	if e.Remote.Type != "panic" || e.Remote.Message != "asked to fail" || len(e.Remote.Stack) == 0 || len(e.Remote.Hops) != 1 {
		t.Errorf("got %+v", e.Remote)
	}
	r = f.run("call", "demo", "add", "a=1", "b:=2", "--output", "json")
	if e := parse[cli.Failure](t, r.errs); e.Path != "/a" || !e.SafeToRetry || !strings.HasSuffix(e.Hint, "write a:=1") {
		t.Errorf("got %+v", e)
	}
}

func TestTooLargeMessage(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	value := strings.Repeat("x", 16<<20-100)
	r := runWith(`{"a":"`+value+`"}`, "call", "demo", "echo", "-", "b="+value[:100], "--transport", f.url)
	wantCode(t, r, 9)
	r = runWith(`{"a":"`+value+value+`"}`, "call", "demo", "echo", "-", "--transport", f.url)
	wantCode(t, r, 9)
}

func TestServerKilledWhileItRunsAMessage(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := f.serve("node1")
	call := f.start("client", "call", "demo", "sleep", "seconds:=60", "--output", "json")
	f.running("node1", 1)
	server.signal(syscall.SIGKILL)
	if code := call.code(); code != 6 {
		t.Errorf("exit code %d", code)
	}
	if e := parse[cli.Failure](t, f.find(1, "client", "{")[0].Text); e.Kind != "OutcomeUnknown" || e.SafeToRetry {
		t.Errorf("got %+v", e)
	}
}

func TestInterruptedCall(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		call := f.start(s.String(), "call", "demo", "sleep", "seconds:=60")
		f.running("node1", 1)
		call.signal(s)
		if code := call.code(); code != cli.ExitInterrupted {
			t.Errorf("exit code %d", code)
		}
		f.find(1, s.String(), "oslorpc: canceled: sleep ")
		f.running("node1", 0)
	}
}

func TestInterruptedWhileItWaitsForInput(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	cmd := f.command("call", "demo", "echo", "-")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	cmd.Stderr = f.output.Of("client")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	// This is more than a pipe holds. When it is written, the process has begun to read.
	if _, err := input.Write([]byte(`{"a":"` + strings.Repeat("x", 1<<20))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	f.find(1, "client", "oslorpc: canceled: interrupted by a signal")
	<-exited
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

func TestWaitingForARegistry(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.url = "consul://127.0.0.1:1" // where nothing listens
	call := f.start("client", "call", "demo", "whoami")
	f.find(1, "client", "oslorpc: waiting: Consul at 127.0.0.1:1: listing services: connection refused: check that a Consul agent answers there; gives up in 5")
	call.signal(syscall.SIGINT)
	if code := call.code(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	wantCode(t, f.run("ls"), 3)

	hangs, err := net.Listen("tcp", "127.0.0.1:0") // it accepts connections, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hangs.Close() })
	f.url = "consul://" + hangs.Addr().String()
	r := f.run("ls", "--timeout", "300ms")
	want := "Consul at " + hangs.Addr().String() + ": listing services: the agent did not answer in time: check that a Consul agent answers there"
	if r.code != 3 || !strings.Contains(r.errs, want) {
		t.Errorf("got %+v, want %s", r, want)
	}
	r = f.run("call", "demo", "whoami", "--timeout", "300ms")
	if want := "not sent: Consul at " + hangs.Addr().String() + " did not answer"; r.code != 4 || !strings.Contains(r.errs, want) {
		t.Errorf("got %+v, want %s", r, want)
	}
}
