//go:build unix

package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/look"
)

func TestLs(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	f.serve("a-longer-name", "--namespace", "control", "--rpc-version", "2.1", "--exchange", "neutron")
	lines := f.ok("ls").lines()
	want := []string{
		`^TOPIC  SERVER         ADDRESS +VERSIONS     STATE   EXCHANGE$`,
		`^demo   a-longer-name  unix:\S+ +control=2\.1  active  neutron$`,
		`^demo   node1          unix:\S+ +1\.0          active  openstack$`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	for i, line := range lines {
		if !regexp.MustCompile(want[i]).MatchString(line) {
			t.Errorf("got %q, want %s", line, want[i])
		}
	}
	for _, args := range [][]string{{"ls", "demo", "--exchange", "neutron"}, {"list", "demo", "--exchange", "neutron"}} {
		if r := f.ok(args...); len(r.lines()) != 2 || !strings.Contains(r.out, "a-longer-name") {
			t.Errorf("%v: got %s", args, r.out)
		}
	}
	list := parse[[]instances.Document](t, f.ok("ls", "demo", "--output", "json").out)
	if len(list) != 2 || list[0].Versions[0] != (instances.VersionDocument{Namespace: "control", Version: "2.1"}) || list[1].State != "active" || list[1].InstanceID == "" {
		t.Errorf("got %+v", list)
	}
}

// Zones appear in the wide table, in JSON, and in the information that a process returns about
// itself.
func TestZones(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1", "--transport", f.url+"?zone=az%201")
	f.serve("node2")
	lines := f.ok("ls", "--wide").lines()
	want := []string{
		`^TOPIC  SERVER  ADDRESS +VERSIONS  STATE   EXCHANGE   ZONE  INSTANCE$`,
		`^demo   node1   unix:\S+ +1\.0 +active  openstack  az 1  [0-9a-f]{16}\.1$`,
		`^demo   node2   unix:\S+ +1\.0 +active  openstack  -     [0-9a-f]{16}\.1$`,
	}
	for i, line := range lines {
		if len(lines) != len(want) || !regexp.MustCompile(want[i]).MatchString(line) {
			t.Errorf("got %q, want %q", lines, want)
			break
		}
	}
	list := parse[[]instances.Document](t, f.ok("ls", "--output", "json").out)
	if len(list) != 2 || list[0].Zone != "az 1" || list[1].Zone != "" {
		t.Errorf("got %+v", list)
	}
	if r := f.ok("info", "demo"); strings.Count(r.out, ", zone az 1\n") != 1 || strings.Count(r.out, "zone") != 1 {
		t.Errorf("got %s", r.out)
	}
}

func TestLsWithoutServers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	where := "; the directory " + f.dir + " lists no server at all; to look elsewhere, use --transport or OSLORPC_TRANSPORT_URL, " +
		"with a URL such as consul://localhost:8500\n"
	if r := f.ok("ls"); r.out != "" || r.errs != "oslorpc: no server is listed"+where {
		t.Errorf("got %+v", r)
	}
	if r := f.ok("ls", "demo", "--exchange", "x"); r.errs != "oslorpc: no server is on the topic \"demo\" of the exchange \"x\""+where {
		t.Errorf("got %+v", r)
	}
	if r := f.ok("ls", "--output", "json"); r.out != "[]\n" || r.errs != "" {
		t.Errorf("got %+v", r)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, two, _ := f.serveThree()
	if lines := f.ok("ping", "demo").lines(); len(lines) != 4 || !regexp.MustCompile(`^node3 +unix:\S+ +\d+\.\d\d ms$`).MatchString(lines[3]) {
		t.Errorf("got %q", lines)
	}
	if lines := f.ok("ping", "demo", "--server", "node2").lines(); len(lines) != 2 {
		t.Errorf("got %q", lines)
	}
	wantCode(t, f.run("ping", "nobody"), 3)
	wantCode(t, f.run("ping", "demo", "--server", "nobody"), 3)

	two.freeze()
	r := f.run("ping", "demo", "--timeout", "1s", "--output", "json")
	two.signal(syscall.SIGCONT)
	if r.code == 0 {
		t.Errorf("exit code %d", r.code)
	}
	for _, pong := range parse[[]look.PongDocument](t, r.out) {
		if answered := pong.Error == nil && pong.Milliseconds > 0; answered != (pong.Server != "node2") {
			t.Errorf("got %+v", pong)
		}
	}
	if e := parse[cli.Failure](t, r.errs); !strings.Contains(e.Message, "1 of 3 servers did not answer") {
		t.Errorf("got %+v", e)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	f.serve("node2", "--namespace", "control", "--rpc-version", "2.1")
	f.ok("call", "demo", "add", "a:=1", "b:=2")
	f.run("call", "demo", "fail")
	out := f.ok("info", "demo").out
	for _, want := range []string{
		`(?m)^node1 on demo at unix:\S+, process \d+, build .+, up \d+s$`,
		`(?m)^  active; 0 running, 0 queued, 0 refused$`,
		`(?m)^  version 1\.0$`,
		`(?m)^  version 2\.1, namespace control$`,
		`(?m)^    METHOD +RESULT +STARTED +FAILED$`,
		`(?m)^    add\(a integer, b integer\) +integer +1 +0$`,
		`(?m)^    count\(n integer, \[interval number\]\) +stream of integer +0 +0$`,
		`(?m)^    echo\(\.\.\.\) +object +0 +0$`,
		`(?m)^    CALLER +PROVED +ACCEPTED +REFUSED +LAST SEEN$`,
		`(?m)^    \S+ +(user:\d+|unproven) +2 +0 +\S+Z$`,
		`(?m)^    fail\(\[message string\], \[panic boolean\]\) +any +1 +1$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it lacks %s:\n%s", want, out)
		}
	}
	list := parse[[]look.Profile](t, f.ok("info", "demo", "--server", "node2", "--output", "json").out)
	if len(list) != 1 || list[0].Servers[0].Endpoints[0].Namespaces[0] != "control" || len(list[0].Servers[0].Endpoints[0].Methods) != 6 {
		t.Errorf("got %+v", list)
	}
	wantCode(t, f.run("info", "nobody"), 3)
}

// TestInfoOfAPolicy shows callers with permission to inspect how a policy treated callers, and
// reports an error in the policy file.
func TestInfoOfAPolicy(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	file := filepath.Join(policyFiles(t, map[string]string{
		"p.yaml": "rules: [{name: look, from: anyone, delivery: inspect}, {name: adders, from: anyone, method: add}]",
	}), "p.yaml")
	f.serve("node1", "--policy", file)
	f.ok("call", "demo", "add", "a:=1", "b:=2")
	wantCode(t, f.run("call", "demo", "whoami"), 10)
	p := parse[[]look.Profile](t, f.ok("info", "demo", "--output", "json").out)[0].Policy
	if p == nil || p.DryRun || p.Denied != 1 || len(p.Rules) != 2 || p.Rules[1] != (look.RuleDocument{Name: "adders", Allowed: 1}) || p.Problem != "" {
		t.Errorf("got %+v", p)
	}
	if err := os.WriteFile(file, []byte("rules: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	problem := regexp.MustCompile(`(?m)^    the policy file cannot be used, and the policy stays as it was: .*p\.yaml:1: `)
	for !problem.MatchString(f.ok("info", "demo").out) {
		t.Log("not read yet")
	}
	out := f.ok("info", "demo").out
	for _, want := range []string{`(?m)^  policy enforced since \S+Z; 1 denied$`, `(?m)^    RULE +ALLOWED$`, `(?m)^    adders +1$`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it lacks %s:\n%s", want, out)
		}
	}
}

// If a server does not answer, the commands that query servers report the cause at once, both as
// text and as JSON.
func TestServersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	hangs := f.serve("v2")
	hangs.freeze()
	t.Cleanup(func() { hangs.signal(syscall.SIGCONT) }) // to be stopped in peace
	encrypted := httptest.NewUnstartedServer(nil)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	tls := encrypted.Listener.Addr().String()
	hung := f.url
	for name, test := range map[string]struct{ url, want string }{
		"hung":    {hung, "its process may be hung"},
		"refused": {"static://demo/v2=127.0.0.1:1", "nothing listens at 127.0.0.1:1; the process is probably dead"},
		"TLS":     {"static://demo/v2=" + tls, "v2 at " + tls + " requires TLS, and this client connects in plaintext: check ca"},
	} {
		for _, line := range []string{
			"ping demo", "info demo", "deprecations demo", "upgrade check demo --to 1.0",
			"call demo whoami --fail-fast", "cast demo whoami --fail-fast", "call demo whoami --server v2 --timeout 2s",
		} {
			t.Run(name+"/"+line, func(t *testing.T) {
				t.Parallel()
				words := append(strings.Fields(line), "--transport", test.url)
				r := runWith("", words...)
				code := 3
				if strings.HasPrefix(line, "upgrade") {
					code = cli.ExitCannotTell
				}
				if r.code != code || !strings.Contains(r.out+r.errs, test.want) || strings.Contains(r.out+r.errs, "may have run") {
					t.Errorf("exit code %d, want %d with %q: %s%s", r.code, code, test.want, r.out, r.errs)
				}
				if code != 3 {
					return
				}
				r = runWith("", append(words, "--output", "json")...)
				e := parse[cli.Failure](t, r.errs)
				if e.Server != "v2" || e.Address == "" || !strings.Contains(e.Message, test.want) || !e.SafeToRetry {
					t.Errorf("for programs it is %+v", e)
				}
			})
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	watch := f.start("watch", "watch", "demo")
	f.find(1, "watch", "present  demo  node1  unix:")
	two := f.serve("node2", "--rpc-version", "1.4")
	joined := f.find(1, "watch", "joined   demo  node2  unix:")[0].Text
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d  joined   demo  node2  unix:\S+  1\.4  active  openstack$`).MatchString(joined) {
		t.Errorf("got %q", joined)
	}
	two.signal(syscall.SIGKILL)
	f.find(1, "watch", "left     demo  node2  ")
	watch.signal(syscall.SIGINT)
	if code := watch.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchGoesOnAfterErrors(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	watch := f.start("watch", "watch", "--output", "json")
	f.serve("node1")
	f.find(1, "watch", `"node1"`)
	if err := os.Chmod(f.dir, 0o755); err != nil { // which the registry refuses
		t.Fatal(err)
	}
	failed := f.find(1, "watch", `"error"`)[0].Text
	if e := parse[look.EventDocument](t, failed); e.Event != "error" || !strings.Contains(e.Error.Message, "chmod 0700") || e.Instance != nil {
		t.Errorf("got %s", failed)
	}
	if err := os.Chmod(f.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.serve("node2")
	f.find(1, "watch", `"node2"`)
	watch.signal(syscall.SIGTERM)
	if code := watch.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lines := f.output.Lines()
	for _, l := range lines {
		if l.By == "watch" {
			parse[look.EventDocument](t, l.Text)
		}
	}
}

func TestUnreadableRegistry(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"ls", "ping demo", "info demo", "call demo whoami", "watch", "serve --topic demo"} {
		r := f.run(strings.Fields(command)...)
		wantCode(t, r, cli.ExitUsage)
		if !strings.Contains(r.errs, "chmod 0700") {
			t.Errorf("%s: got %s", command, r.errs)
		}
	}
}

func TestCompletionOfNames(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	f.serve("node2", "--topic", "other")
	for line, want := range map[string]string{
		"call|":               "demo other",
		"call|demo|":          "add count echo fail sleep whoami",
		"call|demo|add|":      "",
		"ls|":                 "demo other",
		"ping|demo|--server|": "node1",
		"call|--output|":      "text json",
		"call|nobody|":        "",
		"fanout|":             "demo other",
		"watch|demo|":         "",
		"multicall|--server|": "node1 node2",
		"versions|why|":       "demo other",
		"upgrade|check|":      "demo other",
		"deprecations|":       "demo other",
		"deprecations|demo|":  "",
	} {
		args := append([]string{"__complete", "--transport", f.url}, strings.Split(line, "|")...)
		var names []string
		for _, l := range runWith("", args...).lines() {
			if !strings.HasPrefix(l, ":") {
				names = append(names, l)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
