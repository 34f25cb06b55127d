//go:build unix

package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

// startDemo starts a demo with a separate directory for temporary files.
func startDemo(t *testing.T, flags ...string) (f *fleet, demo *process, temporary string) {
	t.Helper()
	f, temporary = newFleet(t), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	return f, f.start("demo", append([]string{"demo"}, flags...)...), temporary
}

// pids returns the process IDs of the servers that a demo started.
func (f *fleet) pids(count int) []int {
	f.t.Helper()
	lines := f.find(count, "demo", "ready: ")
	pids := make([]int, 0, len(lines))
	for _, l := range lines {
		digits := regexp.MustCompile(`process (\d+)$`).FindStringSubmatch(l.Text)
		if digits == nil {
			f.t.Fatalf("got %q", l.Text)
		}
		pid, err := strconv.Atoi(digits[1])
		if err != nil {
			f.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// nothingLeft fails the test if a demo left a process or a file.
func (f *fleet) nothingLeft(temporary string, count int) {
	f.t.Helper()
	for _, pid := range f.pids(count) {
		gone(f.t, pid)
	}
	if files, err := os.ReadDir(temporary); err != nil || len(files) > 0 {
		f.t.Errorf("it left %v, %v", files, err)
	}
}

func TestDemo(t *testing.T) {
	start := time.Now()
	f, demo, temporary := startDemo(t)
	if code := demo.code(); code != 0 {
		lines := f.output.Lines()
		t.Fatalf("exit code %d: %q", code, lines)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	f.nothingLeft(temporary, 3)
	var text strings.Builder
	lines := f.output.Lines()
	for _, l := range lines {
		text.WriteString(l.Text + "\n")
	}
	for _, want := range []string{
		"$ oslorpc serve --topic demo --server node1 --rpc-version 1.1 &", "--server node3 --rpc-version 1.0 &",
		"$ oslorpc call demo whoami --rpc-version 1.1 -n 4", "$ oslorpc versions demo",
		"$ oslorpc ls demo", "$ oslorpc call demo whoami -n 6",
		"--server node2", "$ oslorpc cast demo", "$ oslorpc fanout demo", "$ oslorpc multicall demo count n:=5", "$ kill -9 ",
		"accepted  node3", "node3 prints: ", "9007199254740994",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, text.String())
		}
	}
	for _, want := range []string{
		`node3 +unix:\S+ +active +1\.0\n`, `1\.x +1\.0 +1\.1 +node3 \(up \ds\)\n`,
		`--rpc-version 1\.1 -n 4\n(\{"server":"node[12]","pid":\d+\}\n){4}\$`,
	} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("it lacks %s:\n%s", want, text.String())
		}
	}
}

// The secure demo shows a dry run, a denial with the nearest rule, a renewal of certificates
// without a failed call, and an impostor that receives nothing.
func TestSecureDemo(t *testing.T) {
	f, demo, temporary := startDemo(t, "--secure")
	code := demo.code()
	var text strings.Builder
	for _, l := range f.output.Lines() {
		text.WriteString(l.Text + "\n")
	}
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, &text)
	}
	f.nothingLeft(temporary, 4)
	const server = `spiffe://demo\.example/topic/`
	for _, want := range []string{
		`(?m)^node1\.pem +` + server + `payments/server/node1$`,
		`(\{"server":"node[123]","pid":\d+\}\n){3}`,
		`add a:=19 b:=23\n42\nnode\d logs: audit\.verdict="would deny" audit\.identity=spiffe://demo\.example/teller/alice .*method=add`,
		`add a:=19 b:=23\noslorpc: access denied: .*\n# exit code 10\nnode\d logs: audit\.verdict=denied audit\.identity=spiffe://\S+ .*method=add`,
		`echo text=hello\n\{"text":"hello"\}`,
		`denied +the closest rule is "tellers", policy\.yaml:3\n +method +is "add"`,
		`# [1-9]\d* calls, 0 failed; all servers show their new certificates`,
		`serve --topic payments --server node2 --cert printer-17\.pem .*&\nready: server node2`,
		`(?m)(^payments  node2 .*\n){2}`,
		`untrusted: .*must prove ` + server + `payments/server/node2; it proved ` + server + `printers/server/printer-17.*\n# exit code 3`,
		`# the impostor ran 0 messages`,
	} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("it lacks %s:\n%s", want, &text)
		}
	}
}

func TestInterruptedDemo(t *testing.T) {
	f, demo, temporary := startDemo(t)
	f.pids(3)
	demo.signal(syscall.SIGINT)
	if code := demo.code(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	f.nothingLeft(temporary, 3)
}

func TestKilledDemoTakesItsServersAlong(t *testing.T) {
	f, demo, _ := startDemo(t)
	pids := f.pids(3)
	demo.signal(syscall.SIGKILL)
	demo.code()
	for _, pid := range pids {
		gone(t, pid)
	}
}
