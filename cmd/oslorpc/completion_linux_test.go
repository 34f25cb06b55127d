package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/child"
)

// code is what a shell runs if it does not treat a name as a plain word.
var code = []string{
	"$(touch${IFS}ran)", "`touch${IFS}ran`", ";touch${IFS}ran;", "|touch${IFS}ran", "&touch${IFS}ran&", ">ran", "<(touch${IFS}ran)",
	"'$(touch${IFS}ran)'", "\"$(touch${IFS}ran)\"", "${x:-$(touch${IFS}ran)}", "$((`touch${IFS}ran`))", "\\$(touch ran)", " $(touch ran)",
}

// codeNames returns names that contain a piece of code: a word at the beginning, the code, and a
// different end for each. A shell quotes a single candidate, but not the common prefix of several
// candidates.
func codeNames() (names []string) {
	for n, c := range code {
		names = append(names, word(n)+c+"-a", word(n)+c+"-b", c)
	}
	return append(names, "harmless", "\n touch ran\n", "!touch", "~root", "--transport=x", "-x", "=touch", "{a,b}", "a:b")
}

// word returns the beginning of the names that contain one piece of code.
func word(n int) string { return fmt.Sprintf("w%02d", n) }

// shells are the shells that the test drives, if they are installed. Rc is the user's
// configuration, whose last line loads the completion. Keys are the keys that complete in three
// ways: they insert the common prefix and list the candidates, insert one candidate after another,
// and insert all.
var shells = map[string]struct {
	args []string
	rc   string
	keys []string
}{
	"bash": {
		args: []string{"--noprofile", "--rcfile", "rc", "-i"},
		rc: `_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
bind '"\C-t": menu-complete'
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
source <(oslorpc completion bash)`,
		keys: []string{"\t\t\t", "\x14\x14", "\x1b*"},
	},
	"zsh": {
		args: []string{"-f", "-i"},
		rc: `autoload -Uz compinit; compinit -u
source <(oslorpc completion zsh)`,
		keys: []string{"\t\t\t"},
	},
	"fish": {
		args: []string{"--no-config", "-i"},
		rc:   `oslorpc completion fish | source`,
		keys: []string{"\t\t\t"},
	},
}

func TestShellsRunNoCompletedNames(t *testing.T) {
	t.Parallel()
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("there is no %s", name)
			}
			f := newFleet(t)
			newHostileFleet(t, f, codeNames()...)
			s := startShell(t, f, shell.rc, path, shell.args...)
			for _, keys := range shell.keys {
				for n := range code {
					s.complete(t, "oslorpc call "+word(n)+keys)
				}
				for _, command := range []string{"call ", "call evil ", "call evil harmless --server ", "ls ", "fanout evil ", "versions why "} {
					s.complete(t, "oslorpc "+command+keys)
					s.complete(t, "oslorpc "+command+word(0)+keys)
				}
			}
			s.complete(t, "oslorpc call evil har\t") // the test sees nothing if nothing is completed
			if got := s.screen(); !strings.Contains(got, "call evil harmless") {
				t.Errorf("the shell does not complete names: %q", got)
			}
			s.wantNothingRan(t)
		})
	}
}

// shell is an interactive shell on a separate terminal, in a separate directory.
type shell struct {
	dir      string
	terminal *os.File
	marks    int

	mu      sync.Mutex
	printed bytes.Buffer
}

func startShell(t *testing.T, f *fleet, rc, path string, args ...string) *shell {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{dir: t.TempDir()}
	bin := t.TempDir()
	if err := os.Symlink(executable, filepath.Join(bin, "oslorpc")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "rc"), []byte(rc+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	terminal, peer := openTerminal(t)
	s.terminal = terminal
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, peer, peer, peer
	cmd.Env = append(child.Environment(f.url), asProgram+"=1", "PATH="+bin+":"+os.Getenv("PATH"), "TERM=dumb", "HOME="+s.dir, "PS1=> ", "HISTFILE=")
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close() // the shell has it
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // a signal ended it
		_ = terminal.Close()
		<-read
	})
	if !strings.Contains(strings.Join(args, " "), "rc") {
		s.complete(t, "source ./rc\n")
	}
	s.complete(t, "")
	return s
}

// openTerminal returns the two ends of a pseudo-terminal.
func openTerminal(t *testing.T) (terminal, peer *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	peer, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), peer
}

// read collects the output of the shell until the terminal is closed.
func (s *shell) read() {
	part := make([]byte, 4096)
	for {
		n, err := s.terminal.Read(part)
		s.mu.Lock()
		s.printed.Write(part[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *shell) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.String()
}

// complete types keys, clears the resulting line, and waits until the shell has handled everything.
func (s *shell) complete(t *testing.T, keys string) {
	t.Helper()
	s.marks++
	mark := "mark" + strconv.Itoa(s.marks) + "."
	// The quotes distinguish the output of the command from its echo.
	if _, err := s.terminal.WriteString(keys + "\x05\x15" + "echo ma''rk" + strconv.Itoa(s.marks) + ".\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patient, "the shell has handled "+strconv.Quote(keys), func() bool { return strings.Contains(s.screen(), mark) })
}

// wantNothingRan fails the test if the shell ran a name. Running a name would leave a file.
func (s *shell) wantNothingRan(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "rc" {
			t.Errorf("the shell ran a name: there is a file %q", name)
		}
	}
}
