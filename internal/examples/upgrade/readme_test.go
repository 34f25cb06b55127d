//go:build unix

package upgrade

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

// readme returns the output that the README shows, by the command that prints it.
func readme(t *testing.T) map[string]string {
	t.Helper()
	shown := map[string]string{}
	for n, block := range strings.Split(read(t, "README.md"), "```") {
		if console, ok := strings.CutPrefix(block, "console\n"); n%2 == 1 && ok {
			for _, part := range strings.Split("\n"+console, "\n$ ")[1:] {
				command, output, _ := strings.Cut(part, "\n")
				shown[command] = strings.TrimSpace(output)
			}
		}
	}
	return shown
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(source + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clients runs the README's commands with clients, in its fleet of one old and one new server.
func (p programs) clients(t *testing.T) {
	t.Parallel()
	url := programtest.Local(t)
	p.startServer(t, url, "1.1", "old")
	p.startServer(t, url, "1.2", "new")
	count := 0
	for command, want := range readme(t) {
		args, ok := strings.CutPrefix(command, "go run ./examples/upgrade/client ")
		if !ok || strings.Contains(args, "2.0") {
			continue
		}
		count++
		p.checkClient(t, url, args, want)
	}
	if count < 5 {
		t.Errorf("the README shows %d commands with clients", count)
	}
}

// majors runs the README's command with a client of the next major version.
func (p programs) majors(t *testing.T) {
	t.Parallel()
	url := programtest.Local(t)
	p.startServer(t, url, "1.1", "old")
	p.startServer(t, url, "2.0", "both")
	const args = "--version 2.0"
	p.checkClient(t, url, args, readme(t)["go run ./examples/upgrade/client "+args])
}

var (
	ports = regexp.MustCompile(`(?:127\.0\.0\.1:\d+|unix:\S+?\.sock)`)
	since = regexp.MustCompile(`known for \d+s`)
	// Any server may run a message for any server.
	anybody = regexp.MustCompile(`(my_remote_method\(a, b\): )\w+, a 1\.\d server`)
	capped  = regexp.MustCompile(`\w+, a 1\.\d server, ran it at 1\.1 with arg2=\S+( \S+ \S+)?`)
)

func (p programs) checkClient(t *testing.T, url, args, want string) {
	t.Helper()
	out, problems, _ := run(p.command(t, url, "client", strings.Fields(args)...))
	same := func(s string) string {
		s = ports.ReplaceAllString(s, "PORT")
		s = since.ReplaceAllString(s, "known for a while")
		s = anybody.ReplaceAllString(s, "${1}ANYBODY")
		return strings.TrimSpace(capped.ReplaceAllString(s, "ANYBODY ran it at 1.1"))
	}
	if got := same(out + problems); got != same(strings.TrimSuffix(want, "exit status 1")) {
		t.Errorf("client %s prints\n%s\nand the README shows\n%s", args, got, same(want))
	}
}

// TestReadmeShowsTheCode checks that the lines of code in the README are in the files that it
// names.
func TestReadmeShowsTheCode(t *testing.T) {
	file := ""
	lines := 0
	for n, block := range strings.Split(read(t, "README.md"), "```") {
		kind, body, _ := strings.Cut(block, "\n")
		if n%2 == 0 || (kind != "go" && kind != "proto") {
			continue
		}
		for line := range strings.Lines(body) {
			lines++
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "// ") {
				file = read(t, strings.TrimPrefix(line, "// "))
			} else if !strings.Contains(file, line) {
				t.Errorf("the README shows a line that the file lacks: %s", line)
			}
		}
	}
	if lines < 20 {
		t.Errorf("the README shows %d lines of code", lines)
	}
}
