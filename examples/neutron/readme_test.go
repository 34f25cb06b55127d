package neutron

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// session is what the README shows of a shell: commands, and what is printed after each.
type session []typed

type typed struct {
	line   string
	prints []string
}

func readSession(t *testing.T) session {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var s session
	inside := false
	for line := range strings.Lines(string(readme)) {
		line = strings.TrimSuffix(line, "\n")
		switch command, is := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case inside && is:
			s = append(s, typed{line: command})
		case inside:
			last := &s[len(s)-1]
			last.prints = append(last.prints, line)
		}
	}
	return s
}

// varying is what differs each time: who is at which address, and what else is in a result.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\.\d+$`), ".N"},
	{regexp.MustCompile(`"id":"[0-9a-f-]+"`), `"id":"…"`},
	{regexp.MustCompile(`"subnets":.*`), `"subnets":…`},
	{regexp.MustCompile(`neutron-server on \S+:`), `neutron-server on HOST:`},
}

func masked(line string) string {
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.instead)
	}
	return line
}

// The README needs few commands, and they do what it says.
func TestReadme(t *testing.T) {
	s := readSession(t)
	if n := len(s) - 1; n < 5 || n > 8 { // the last one tidies up
		t.Errorf("it takes %d commands", n)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/"
	shell := exec.Command("bash")
	shell.Dir = root
	shell.Env = append(os.Environ(), "OSLORPC_TRANSPORT_URL="+local(t))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: "the shell", cmd: shell, changed: make(chan struct{}, 1), over: make(chan struct{})}
	go p.read(bufio.NewScanner(output), masked)
	t.Cleanup(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // whoever is left of the shell's
		_ = shell.Wait()
	})

	for _, c := range s {
		line := strings.ReplaceAll(c.line, ".bin/", dir)
		if _, err := input.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.prints {
			p.await(masked(want))
		}
	}
	_ = input.Close()
	<-p.over // all that it started has ended
	if len(p.lines) > 0 {
		t.Errorf("it prints %q as well", p.lines)
	}
}
