//go:build unix

package programtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Session is a shell session that a README shows: commands, and what each prints.
type Session []typed

type typed struct {
	line   string
	prints []string
}

// ReadSession returns the session in the console blocks of a file. If a heading is given, only the
// section with this heading is read. A block with a title is a file of that name. The session
// writes the file at this point. A block below a comment <!-- not run: REASON --> is left out. A
// command that ends with a backslash continues on the next line.
func ReadSession(tb testing.TB, page string, section ...string) Session {
	tb.Helper()
	readme, err := os.ReadFile(page) //nolint:gosec // It is one of ours.
	if err != nil {
		tb.Fatal(err)
	}
	text := string(readme)
	for _, heading := range section {
		_, after, found := strings.Cut(text, "\n"+heading+"\n")
		if !found {
			tb.Fatalf("%s has no %q", page, heading)
		}
		text, _, _ = strings.Cut(after, "\n## ")
	}
	r := reader{tb: tb, page: page}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		r.read(line)
		if line != "" {
			r.excused = strings.HasPrefix(line, "<!-- not run: ")
		}
	}
	return r.session
}

// reader reads a page line by line.
type reader struct {
	tb      testing.TB
	page    string
	session Session
	// inside is true within a block of commands, and file is true within the text of a file.
	// Excused is true below a comment that says that a block is not run.
	inside, file, excused bool
}

func (r *reader) read(line string) {
	if strings.HasPrefix(line, "```") {
		r.fence(line)
		return
	}
	switch {
	case r.file:
		r.last().line += line + "\n"
	case r.inside:
		r.typed(line)
	}
}

func (r *reader) last() *typed { return &r.session[len(r.session)-1] }

// fence begins or ends a block.
func (r *reader) fence(line string) {
	if r.file {
		r.last().line += "END-OF-FILE"
	}
	r.inside, r.file = line == "```console" && !r.excused, false
	if name, titled := title(line); titled {
		r.file = true
		r.session = append(r.session, typed{line: fmt.Sprintf("mkdir -p \"$(dirname '%[1]s')\" && cat > '%[1]s' <<'END-OF-FILE'\n", name)})
	}
}

// typed reads a command, a continuation line of a command, or a line of output.
func (r *reader) typed(line string) {
	command, is := strings.CutPrefix(line, "$ ")
	switch {
	case len(r.session) > 0 && strings.HasSuffix(r.last().line, "\\"):
		r.last().line = strings.TrimSuffix(r.last().line, "\\") + strings.TrimSpace(line)
	case is:
		r.session = append(r.session, typed{line: command})
	case len(r.session) == 0:
		r.tb.Fatalf("%s shows %q before any command", r.page, line)
	case line != "": // every output contains an empty line
		r.last().prints = append(r.last().prints, line)
	}
}

// title returns the title of a block that begins with line.
func title(line string) (name string, titled bool) {
	_, after, titled := strings.Cut(line, ` title="`)
	name, _, _ = strings.Cut(after, `"`)
	return name, titled
}

// Mask replaces text that matches Pattern with Instead, since this text differs each time.
type Mask struct {
	Pattern *regexp.Regexp
	Instead string
}

// Replace returns the session with one text replaced by another, such as a URL that belongs to the
// test.
func (s Session) Replace(text, by string) Session {
	var replaced Session
	for _, c := range s {
		replaced = append(replaced, typed{strings.ReplaceAll(c.line, text, by), c.prints})
	}
	return replaced
}

// slow matches the commands that build or install. Without a cache they compile and download
// everything, so each may take buildTime. Built is printed after such a command.
var slow = regexp.MustCompile(`^(go build|go list|go test|make|npm|pip) |npm ci`)

const (
	buildTime = 5 * time.Minute
	built     = "the build has ended"
)

// enter types a command into a shell. If the command builds, enter waits for its end.
func (p *Process) enter(shell io.Writer, line string) {
	p.tb.Helper()
	builds := slow.MatchString(line)
	if builds {
		line += "\necho " + built
	}
	if _, err := io.WriteString(shell, line+"\n"); err != nil {
		p.tb.Fatal(err)
	}
	if builds {
		p.awaitFor(buildTime, built)
	}
}

// Run types the commands into a shell in a directory and replaces .bin with a temporary directory.
// The commands must print or log the lines that the session shows, in any order, and must print no
// others. The masks are applied to both. At the end, everything that the shell started must have
// ended.
func (s Session) Run(tb testing.TB, dir, url string, masks ...Mask) {
	tb.Helper()
	masked := func(line string) string {
		for _, m := range masks {
			line = m.Pattern.ReplaceAllString(line, m.Instead)
		}
		return line
	}
	shell := exec.CommandContext(context.Background(), "bash")
	shell.Dir = dir
	shell.Env = append(os.Environ(), oslorpc.TransportURLVariable+"="+url)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := shell.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p := newProcess(tb, "the shell", shell)
	stderr, err := shell.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.start(masked)
	go p.read(stderr, masked, true)
	tb.Cleanup(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // kills all processes of the shell
		_ = shell.Wait()
	})
	own := tb.TempDir() + "/"
	for _, c := range s {
		p.enter(input, strings.ReplaceAll(c.line, ".bin/", own))
		for _, want := range c.prints {
			p.Await(masked(want))
		}
	}
	_ = input.Close()
	late := time.AfterFunc(patience, func() {
		tb.Errorf("processes that the shell started did not end in time")
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
	})
	<-p.over // all processes that the shell started have ended
	late.Stop()
	if rest := p.rest(); len(rest) > 0 {
		tb.Errorf("the shell prints %q, which the page does not show", rest)
	}
}
