//go:build unix

package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/upgrades"
)

// serveMixed starts a new server and an old server.
func (f *fleet) serveMixed() (old *process) {
	f.t.Helper()
	f.serve("new", "--rpc-version", "1.1", "--deprecated", "echo")
	return f.serve("old")
}

// wantLines fails the test unless the output has the given lines.
func (r result) wantLines(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)^" + pattern + "$").MatchString(r.out) {
			t.Errorf("it lacks %s:\n%s", pattern, r.out)
		}
	}
}

// deafen freezes a process until the test ends. The process stays registered.
func (f *fleet) deafen(p *process) {
	f.t.Helper()
	p.freeze()
	f.t.Cleanup(func() { p.signal(syscall.SIGCONT) })
}

func TestVersionsOfAMixedFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.serveMixed()
	f.serve("control", "--namespace", "control", "--rpc-version", "2.1")
	f.ok("versions", "demo").wantLines(t,
		`SERVER +ADDRESS +STATE +1\.x +control=2\.x`, `control +unix:\S+ +active +- +2\.1`, `new +unix:\S+ +active +1\.1 +-`, `old +unix:\S+ +active +1\.0 +-`,
		``, `INTERFACE +AUTO CAP +NEWEST +HELD DOWN BY`, `1\.x +1\.0 +1\.1 +old \(up \d+s\)`, `control=2\.x +2\.1 +2\.1 +none`)
	d := parse[upgrades.MatrixDocument](t, f.ok("versions", "demo", "--output", "json").out)
	if len(d.Instances) != 3 || !d.Instances[0].Counted || len(d.Caps) != 2 || d.Exchange != "openstack" || d.Topic != "demo" {
		t.Fatalf("got %+v", d)
	}
	if c := d.Caps[0]; c.Version != "1.0" || c.Next != "1.1" || c.State != "known" || c.Holders[0].Server != "old" || c.Holders[0].Uptime == 0 {
		t.Errorf("got %+v", c)
	}
	f.deafen(old)
	f.ok("versions", "demo", "--timeout", "1s").wantLines(t, `1\.x +1\.0 +1\.1 +old \(not reachable\)`)
}

func TestWhyTheCapIsWhatItIs(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.serveMixed()
	f.ok("versions", "why", "demo").wantLines(t,
		`auto: 1\.0 of the default namespace: old \(unix:\S+\) implements no later version; it rises to 1\.1 .+`, ``,
		`HELD BY +ADDRESS +STATE +VERSIONS +UP +BUILD`, `old +unix:\S+ +active +1\.0 +\d+s +\S.*`)
	f.ok("versions", "why", "demo", "--target-version", "1.1").wantLines(t, `1\.1: not every server serves it`)
	f.ok("versions", "why", "demo", "--namespace", "x").wantLines(t, `auto: no server implements the namespace "x", .+`)
	d := parse[upgrades.ReasonDocument](t, f.ok("versions", "why", "demo", "--target-version", "1.0", "--output", "json").out)
	if d.Version != "1.0" || d.Next != "1.1" || !*d.Sendable || len(d.Holders) != 1 || d.Holders[0].Build == "" || !strings.HasPrefix(d.Explanation, "auto: 1.0") {
		t.Errorf("got %+v", d)
	}
	f.serve("newest", "--rpc-version", "3.2")
	f.ok("versions", "why", "demo").wantLines(t, `auto: no common version 3\.x of the default namespace: .+`)
	f.deafen(old)
	r := f.run("versions", "why", "demo", "--timeout", "1s")
	if r.code == 0 {
		t.Error("a server could not be asked, and the exit code is 0")
	}
	r.wantLines(t, `old +unix:\S+ +active +1\.0 .*`)
}

func TestVersionsWithoutServers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1", "--exchange", "neutron")
	for _, command := range []string{"versions demo", "versions why demo", "deprecations demo"} {
		r := f.run(strings.Fields(command)...)
		wantCode(t, r, 3)
		if !strings.Contains(r.errs, `one is in the exchange "neutron": see --exchange`) {
			t.Errorf("%s: got %s", command, r.errs)
		}
		f.ok(strings.Fields(command + " --exchange neutron")...)
	}
	r := f.run("versions", "nobody")
	wantCode(t, r, 3)
	if !strings.Contains(r.errs, `no server is on the topic "nobody" of the exchange "openstack"`) || strings.Contains(r.errs, "--exchange") {
		t.Errorf("got %s", r.errs)
	}
}

func TestUpgradeCheck(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.serveMixed()
	f.ok("call", "demo", "echo")
	r := f.run("upgrade", "check", "demo", "--to", "1.1")
	wantCode(t, r, cli.ExitNotYet)
	r.wantLines(t, `Servers that do not serve 1\.1:`, ` +old +unix:\S+ +active +1\.0`, `Warning: callers of deprecated methods:`,
		` +- +echo +1\.0 +\S+ +user:\d+ +1 +0 +\S+Z +\S+Z +1\.1`, `Callers were counted for \d+s only, since (new|old) started: .+`)
	if r.errs != "oslorpc: not yet: 1 server does not serve 1.1\n" {
		t.Errorf("got %s", r.errs)
	}
	r = f.ok("upgrade", "check", "demo", "--to", "1.0")
	r.wantLines(t, `safe: the 2 servers serve 1\.0 of the default namespace, and no caller asked for what it does not serve`)

	f.ok("call", "demo", "whoami", "--rpc-version", "1.1", "-n", "2")
	r = f.run("upgrade", "check", "demo", "--to", "1.0", "--output", "json")
	wantCode(t, r, cli.ExitNotYet)
	d := parse[upgrades.FindingsDocument](t, r.out)
	if d.Verdict != "not yet" || d.ExitCode != 1 || d.Servers != 2 || len(d.InTheWay) != 0 || len(d.Callers) != 1 || d.Callers[0].Accepted != 2 || d.To != "1.0" {
		t.Errorf("got %+v", d)
	}
	if e := parse[cli.Failure](t, r.errs); e.Kind != "NotYet" || e.ExitCode != cli.ExitNotYet {
		t.Errorf("got %+v", e)
	}
	f.deafen(old)
	wantCode(t, f.run("upgrade", "check", "demo", "--to", "1.1", "--timeout", "1s"), cli.ExitNotYet)
}

func TestUpgradeCheckThatCannotTell(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	wantCode(t, f.run("upgrade", "check", "demo", "--to", "1.0"), cli.ExitCannotTell)
	f.serve("node1")
	server := f.serve("node2")
	f.ok("upgrade", "check", "demo", "--to", "1.0")
	r := f.run("upgrade", "check", "demo", "--to", "1.0", "--namespace", "x")
	wantCode(t, r, cli.ExitCannotTell)
	if want := `oslorpc: cannot tell: no server is known to implement the namespace "x"` + "\n"; r.errs != want {
		t.Errorf("got %s", r.errs)
	}
	f.deafen(server)
	r = f.run("upgrade", "check", "demo", "--to", "1.0", "--timeout", "1s")
	wantCode(t, r, cli.ExitCannotTell)
	r.wantLines(t, `Servers that did not answer:`, ` +node2 +unix:\S+ +active +.+`)
	r = f.run("upgrade", "check", "demo", "--to", "1.0", "--timeout", "1s", "--output", "json")
	wantCode(t, r, cli.ExitCannotTell)
	if d := parse[upgrades.FindingsDocument](t, r.out); d.Verdict != "cannot tell" || d.Unanswered[0].Server != "node2" || d.Unanswered[0].Error == nil {
		t.Errorf("got %+v", d)
	}
	waiting := f.start("check", "upgrade", "check", "demo", "--to", "1.0", "--timeout", "1m")
	time.Sleep(300 * time.Millisecond) // by then it asks
	waiting.signal(syscall.SIGINT)
	switch code := waiting.code(); code {
	case cli.ExitInterrupted, -1: // -1: before it listened to signals
	case cli.ExitCannotTell: // it had found out already that the server hangs
	default:
		t.Errorf("exit code %d", code)
	}
}

func TestUpgradeCheckOfAStaticAddress(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.serve("node1")
	address := parse[[]instances.Document](t, f.ok("ls", "--output", "json").out)[0].Address
	r := runWith("", "upgrade", "check", "demo", "--to", "1.0", "--transport", "static://demo="+address)
	wantCode(t, r, cli.ExitCannotTell)
	r.wantLines(t, `Servers that do not report what they implement:`)
	r = runWith("", "versions", "demo", "--transport", "static://demo="+address)
	wantCode(t, r, 0)
	if !strings.Contains(r.errs, "no server reports what it implements") {
		t.Errorf("got %+v", r)
	}
}

func TestMisusedUpgradeCheck(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, test := range []struct{ line, want string }{
		{"upgrade", "upgrade needs a command: check; see oslorpc upgrade --help"},
		{"upgrade chek", `there is no command "upgrade chek"`},
		{"upgrade --nope", "unknown flag"},
		{"upgrade check", "check needs a TOPIC; see oslorpc upgrade check --help"},
		{"upgrade check a b", "does not take"},
		{"upgrade check demo", "check needs --to"},
		{"upgrade check demo --to one", "major.minor"},
		{"upgrade check demo --to 1.0 --timeout 5", "--timeout 5 needs a unit: write 5s"},
		{"upgrade check demo --to 1.0 --output xml", "write text or json"},
	} {
		r := f.run(strings.Fields(test.line)...)
		wantCode(t, r, cli.ExitMisused)
		if !strings.Contains(r.errs, test.want) || r.out != "" {
			t.Errorf("%s: got %+v", test.line, r)
		}
	}
	r := runWith("", "upgrade", "check", "demo", "--to", "1.0", "--transport", "nope://", "--output", "json")
	wantCode(t, r, cli.ExitMisused)
	if e := parse[cli.Failure](t, r.errs); e.ExitCode != cli.ExitMisused || !e.SafeToRetry {
		t.Errorf("got %+v", e)
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	for line, table := range map[string]string{
		"--help": cli.ExitHelp(), "upgrade --help": cli.AnswerHelp(), "upgrade check --help": cli.AnswerHelp(),
	} {
		help := runWith("", strings.Fields(line)...)
		wantCode(t, help, 0)
		if !strings.Contains(help.out, table) {
			t.Errorf("%s lacks the exit codes:\n%s", line, help.out)
		}
	}
}

func TestDeprecations(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.serve("first", "--rpc-version", "1.1", "--deprecated", "echo,add")
	f.serve("second", "--rpc-version", "1.1", "--deprecated", "echo")
	if r := f.ok("deprecations", "demo"); r.out != "" || !strings.Contains(r.errs, "no caller asked for anything deprecated or old") {
		t.Errorf("got %+v", r)
	}
	f.ok("call", "demo", "echo", "--rpc-version", "1.1", "-n", "6")
	f.ok("call", "demo", "whoami", "-n", "2", "--server", "second")
	f.ok("call", "demo", "count", "n:=1", "--rpc-version", "1.1")
	r := f.ok("deprecations", "demo")
	r.wantLines(t, `NAMESPACE +METHOD +VERSION +CALLER +PROVED +ACCEPTED +REFUSED +FIRST SEEN +LAST SEEN +DEPRECATED`,
		`- +echo +1\.1 +\S+ +user:\d+ +6 +0 +\S+Z +\S+Z +1\.1`, `- +whoami +1\.0 +\S+ +user:\d+ +2 +0 +\S+Z +\S+Z +-`)
	if lines := r.lines(); len(lines) != 3 {
		t.Errorf("got %q", lines)
	}
	d := parse[upgrades.DeprecationsDocument](t, f.ok("deprecations", "demo", "--all", "--output", "json").out)
	if len(d.Requests) != 3 || d.Requests[0].Method != "count" || d.Requests[1].Deprecated != "1.1" || d.Requests[1].First.IsZero() || len(d.Unanswered) != 0 {
		t.Errorf("got %+v", d)
	}
	f.deafen(first)
	r = f.run("deprecations", "demo", "--timeout", "1s")
	if r.code == 0 || len(r.lines()) != 3 {
		t.Errorf("got %+v", r)
	}
}
