//go:build unix

package main

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/look"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/send"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/serve"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// answers counts the servers and the processes that answered calls of whoami.
func answers(t *testing.T, r result) (servers map[string]int, pids map[int]int) {
	t.Helper()
	wantCode(t, r, 0)
	servers, pids = map[string]int{}, map[int]int{}
	for _, line := range r.lines() {
		who := parse[serve.Identity](t, line)
		servers[who.Server]++
		pids[who.ProcessID]++
	}
	return servers, pids
}

func sum[K comparable](counts map[K]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

func TestCallsReachEveryServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serveThree()
	servers, _ := answers(t, f.run("call", "demo", "whoami", "-n", "30"))
	if servers["node1"] == 0 || servers["node2"] == 0 || servers["node3"] == 0 || sum(servers) != 30 {
		t.Errorf("got %v", servers)
	}
	servers, _ = answers(t, f.run("call", "demo", "whoami", "-n", "5", "--server", "node2"))
	if want := map[string]int{"node2": 5}; !maps.Equal(servers, want) {
		t.Errorf("with --server node2 got %v", servers)
	}
}

func TestProcessesShareAName(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.serve("twin"), f.serve("twin")
	f.serve("other")
	servers, pids := answers(t, f.run("call", "demo", "whoami", "-n", "10", "--server", "twin"))
	if pids[one.Process.Pid] == 0 || pids[two.Process.Pid] == 0 || sum(pids) != 10 || servers["twin"] != 10 {
		t.Errorf("got %v of %v", pids, servers)
	}
}

func TestCastRunsOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serveThree()
	if r := f.ok("cast", "demo", "echo", "a=b", "--server", "node3"); r.out != "accepted\n" {
		t.Errorf("got %q", r.out)
	}
	f.find(1, "node3", ` echo {"a":"b"} -> {"a":"b"}`)
	if r := f.ok("cast", "demo", "echo", "-n", "6", "--output", "json"); r.out != strings.Repeat(`{"accepted":true}`+"\n", 6) {
		t.Errorf("got %q", r.out)
	}
	f.find(6, "", " echo {} -> {}")
}

func TestFanoutRunsInEveryProcess(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serveThree()
	f.serve("node3")
	r := f.ok("fanout", "demo", "echo", "to=all")
	if len(r.lines()) != 4 || strings.Count(r.out, "accepted  node") != 4 {
		t.Errorf("got %s", r.out)
	}
	f.find(1, "node1", `{"to":"all"}`)
	f.find(1, "node2", `{"to":"all"}`)
	f.find(2, "node3", `{"to":"all"}`)
	for _, p := range parse[[]look.Profile](t, f.ok("info", "demo", "--output", "json").out) {
		for _, m := range p.Servers[0].Endpoints[0].Methods {
			if m.Name == "echo" && m.Started != 1 {
				t.Errorf("%s ran it %d times", p.Server, m.Started)
			}
		}
	}
}

func TestFanoutToAMixedFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("new", "--rpc-version", "1.4")
	f.serve("old")
	r := f.ok("fanout", "demo", "echo", "--rpc-version", "1.2")
	if lines := r.lines(); len(lines) != 2 || !strings.HasPrefix(lines[0], "accepted  new") || !strings.HasPrefix(lines[1], "skipped   old") {
		t.Errorf("got %s", r.out)
	}
	r = f.ok("fanout", "demo", "echo", "--rpc-version", "1.2", "--output", "json")
	report := parse[map[string][]send.DeliveryDocument](t, r.out)
	if len(report["accepted"]) != 1 || len(report["skipped"]) != 1 || len(report["failed"]) != 0 {
		t.Fatalf("got %s", r.out)
	}
	if skipped := report["skipped"][0]; skipped.Server != "old" || skipped.Error == nil || skipped.Error.Kind != "UnsupportedVersion" {
		t.Errorf("got %+v", skipped)
	}
	wantCode(t, f.run("fanout", "demo", "echo", "--rpc-version", "2.0"), 7)
	wantCode(t, f.run("fanout", "demo", "nope", "--output", "json"), 7)
}

func TestFanoutWithoutServers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if r := f.ok("fanout", "demo", "echo"); r.out != "" || r.errs != "oslorpc: no server is on the topic \"demo\" of the exchange \"openstack\"; "+
		"the directory "+f.dir+" lists no server at all; to look elsewhere, use --transport or OSLORPC_TRANSPORT_URL, with a URL such as consul://localhost:8500\n" {
		t.Errorf("got %+v", r)
	}
	if r := f.ok("fanout", "demo", "echo", "--output", "json"); r.out != `{"accepted":[],"failed":[],"skipped":[]}`+"\n" || r.errs != "" {
		t.Errorf("got %+v", r)
	}
}

func TestMulticallStreams(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	if r := f.ok("multicall", "demo", "count", "n:=5"); r.out != "1\n2\n3\n4\n5\n" {
		t.Errorf("got %q", r.out)
	}
	if r := f.ok("multicall", "demo", "count", "n:=0"); r.out != "" {
		t.Errorf("got %q", r.out)
	}
	// This multicall would take years, so its items must arrive one by one.
	endless := f.start("client", "multicall", "demo", "count", "n:=1000000000", "interval:=0.01")
	f.find(1, "client", "2")
	endless.signal(syscall.SIGINT)
	if code := endless.code(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	f.find(1, "node1", `{"n":1000000000,"interval":0.01} failed: context canceled`)
}

func TestResultsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	for _, test := range []struct{ words, want string }{
		{"echo a:=12345678901234567890123 b:=1.0 c:=1e400 d=1", `{"a":12345678901234567890123,"b":1.0,"c":1e400,"d":"1"}`},
		{"add a:=9007199254740993 b:=1", "9007199254740994"},
		{"add a:=9223372036854775807 b:=1", "9223372036854775808"},
		{"echo é=☃", `{"é":"☃"}`},
		{"sleep seconds:=0", "null"},
	} {
		for _, output := range []string{"text", "json"} {
			args := append([]string{"call", "demo", "--output", output}, strings.Fields(test.words)...)
			if r := f.ok(args...); r.out != test.want+"\n" {
				t.Errorf("%s: got %s", test.words, r.out)
			}
		}
	}
	r := runWith(`{"a": 9007199254740993, "b": [1.0]}`, "call", "demo", "echo", "-", "c=d", "--transport", f.url)
	if want := `{"a":9007199254740993,"b":[1.0],"c":"d"}` + "\n"; r.out != want {
		t.Errorf("got %s, want %s", r.out, want)
	}
}

func TestOtherNames(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	const exchange, namespace = "größe", "контроль"
	f.serve("nöd e", "--exchange", exchange, "--namespace", namespace, "--rpc-version", "3.2")
	r := f.ok("call", "demo", "whoami", "--server", "nöd e", "--exchange", exchange, "--namespace", namespace, "--rpc-version", "3.1")
	if parse[serve.Identity](t, r.out).Server != "nöd e" {
		t.Errorf("got %s", r.out)
	}
	wantCode(t, f.run("call", "demo", "whoami", "--fail-fast"), 3)
	wantCode(t, f.run("call", "demo", "whoami", "--exchange", exchange), 7)
}

func TestRepetitions(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	r := f.run("call", "demo", "fail", "-n", "3")
	wantCode(t, r, 5)
	r = f.run("call", "demo", "fail", "-n", "3", "--keep-going")
	if r.code != 5 || strings.Count(r.errs, "remote error") != 3 || !strings.HasSuffix(r.errs, "\noslorpc: 3 of 3 messages failed\n") {
		t.Errorf("exit code %d with %s", r.code, r.errs)
	}
	if r := f.ok("call", "demo", "add", "a:=1", "b:=2", "-n", "100"); r.out != strings.Repeat("3\n", 100) {
		t.Errorf("got %s", r.out)
	}
}

func TestContextArrives(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	transport, err := oslorpc.Open(f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	server := transport.Server(oslorpc.Target{Topic: "demo", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"context": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (oslorpc.RequestContext, error) {
			return oslorpc.ContextFrom(ctx), nil
		}),
	}})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := f.ok("call", "demo", "context"); r.out != "{}\n" {
		t.Errorf("without one, got %s", r.out)
	}
	r := f.ok("call", "demo", "context", "--context", "user=bob", "--context", "quota:=12345678901234567890")
	if want := `{"quota":12345678901234567890,"user":"bob"}` + "\n"; r.out != want {
		t.Errorf("got %s, want %s", r.out, want)
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	call := f.start("client", "call", "demo", "whoami", "--server", "late")
	if code := call.code(); code != 3 { // a name that was never there is not waited for
		t.Errorf("exit code %d", code)
	}
	call = f.start("client", "call", "demo", "whoami")
	f.find(1, "client", `oslorpc: waiting: no server is on the topic "demo" of the exchange "openstack", according to the directory `+f.dir+"; --fail-fast does not wait; gives up in ")
	late := f.serve("late")
	f.find(1, "client", `"pid":`+strconv.Itoa(late.Process.Pid))
	if code := call.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A message that cannot succeed fails at once, and the error suggests what the user may have meant.
func TestFailFast(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	const away = "consul://127.0.0.1:1" // where nothing listens
	for _, test := range []struct {
		line, url string
		want      string
	}{
		{"call demo whoami --fail-fast", away, "not sent: Consul at 127.0.0.1:1"},
		{"cast demo whoami --fail-fast", away, "not sent: Consul at 127.0.0.1:1"},
		{"fanout demo whoami --fail-fast", away, "not sent: Consul at 127.0.0.1:1"},
		{"multicall demo count n:=1 --fail-fast", away, "not sent: Consul at 127.0.0.1:1"},
		{"call dmeo whoami --fail-fast", f.url, `did you mean "demo"?`},
		{"call dmeo whoami", f.url, `did you mean "demo"? (--fail-fast=false waits`},
		{"multicall Demo count n:=1", f.url, `did you mean "demo"?`},
		{"call compute whoami --fail-fast", f.url, `there is only "demo"`},
		{"call demo whoami --exchange neutron --fail-fast", f.url, `one is in the exchange "openstack": see --exchange`},
		{"call demo whoami --server ndoe1", f.url, `did you mean "node1"?`},
		{"ping dmeo", f.url, `did you mean "demo"?`},
		{"versions dmeo", f.url, `did you mean "demo"?`},
		{"deprecations dmeo", f.url, `did you mean "demo"?`},
		{"info demo --server node2", f.url, `there is only "node1"`},
	} {
		t.Run(test.line, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			r := runWith("", append(strings.Fields(test.line), "--transport", test.url)...)
			wantCode(t, r, 3)
			if took := time.Since(begin); took > 10*time.Second || !strings.Contains(r.errs, test.want) {
				t.Errorf("after %v: %s", took, r.errs)
			}
		})
	}
	if r := f.ok("fanout", "dmeo", "whoami"); !strings.Contains(r.errs, `did you mean "demo"?`) { // it is no error
		t.Errorf("got %s", r.errs)
	}
}

// The command says what a message waits for: a server that hangs, or a topic without servers, which
// may be misspelt.
func TestWaits(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	hangs := f.serve("node1")
	waits := f.start("waits", "call", "dmeo", "whoami", "--fail-fast=false")
	f.find(1, "waits", `oslorpc: waiting: no server is on the topic "dmeo" of the exchange "openstack"; did you mean "demo"?`)
	waits.signal(syscall.SIGINT)
	if code := waits.code(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	hangs.freeze()
	waits = f.start("silence", "call", "demo", "whoami")
	f.find(1, "silence", "oslorpc: waiting: server node1 ")
	hangs.signal(syscall.SIGCONT)
	if code := waits.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
