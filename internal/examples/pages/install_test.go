//go:build unix

package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

// TestClone runs the first commands of the README and of CONTRIBUTING.md, in a clone of the last
// commit.
func TestClone(t *testing.T) {
	// The make that runs this test must not tell the make of the clone what to do.
	for _, name := range []string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BIN"} {
		t.Setenv(name, "")
	}
	took := programtest.Mask{Pattern: regexp.MustCompile(`(internal/route\t).*`), Instead: "${1}1s"}
	for name, session := range map[string]programtest.Session{
		"README":       programtest.ReadSession(t, repository+"/README.md", "## Try it"),
		"CONTRIBUTING": programtest.ReadSession(t, repository+"/CONTRIBUTING.md", "## Set up"),
	} {
		t.Run(name, func(t *testing.T) {
			if len(session) != 2 {
				t.Errorf("the page shows %d commands", len(session))
			}
			fromHere(t, session).
				Replace("make demo", "make demo > demo.txt; tail -n 1 demo.txt | grep 'oslorpc call demo whoami$' > last.txt || cat demo.txt").
				Run(t, t.TempDir(), programtest.Local(t), took)
		})
	}
}

// fromHere returns a session that clones the present repository in place of the public one.
func fromHere(t *testing.T, session programtest.Session) programtest.Session {
	t.Helper()
	if _, err := os.Stat(repository + "/.git"); err != nil {
		t.Skipf("the repository is not a Git clone: %v", err)
	}
	return session.Replace("git clone https://github.com/oslorpc/oslorpc", "git clone -q '"+absolute(t, "")+"' oslorpc")
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// usePython puts the virtual environment of the Python tests first in PATH. It skips the test if
// the environment does not exist.
func usePython(t *testing.T) {
	t.Helper()
	bin := absolute(t, ".bin/venv/bin")
	if _, err := os.Stat(bin + "/python"); err != nil {
		t.Skipf("run `make test-python` first: %v", err)
	}
	t.Setenv("PATH", bin+":"+filepath.Dir(programtest.Path("oslorpc"))+":"+os.Getenv("PATH"))
}

// into returns a session whose pip installs only the package, into a directory from which Python
// imports it. The environment has the package's dependencies.
func into(t *testing.T, dir string, session programtest.Session) programtest.Session {
	t.Helper()
	t.Setenv("PYTHONPATH", dir)
	return session.Replace("pip install", "pip install -q --no-deps --no-build-isolation --disable-pip-version-check --target '"+dir+"'")
}

// The session in the README of the Python package works as shown, with the package that its first
// command installs.
func TestPythonReadme(t *testing.T) {
	usePython(t)
	session := programtest.ReadSession(t, repository+"/python/README.md").Replace("./python", ".")
	into(t, t.TempDir(), session).Run(t, repository+"/python", programtest.Local(t), varying...)
}

// The command in docs/oslo-messaging.md installs a driver that oslo.messaging finds.
func TestInstallDriver(t *testing.T) {
	usePython(t)
	dir := t.TempDir()
	into(t, dir, programtest.ReadSession(t, docs+"oslo-messaging.md")).Run(t, repository, programtest.Local(t))
	find := exec.CommandContext(t.Context(), "python", "-c",
		"from stevedore.extension import ExtensionManager as M\nm = M('oslo.messaging.drivers')['oslorpc+consul'].plugin\n"+
			"import sys\nprint(sys.modules[m.__module__].__file__)")
	out, err := find.Output()
	if err != nil || !strings.HasPrefix(string(out), dir+"/") {
		t.Errorf("oslo.messaging finds no driver in %s: %v, %s", dir, err, out)
	}
}

// The commands in the README of the TypeScript package install a package that a program can import.
func TestInstallTypeScript(t *testing.T) {
	if _, err := os.Stat(repository + "/typescript/node_modules/.installed"); err != nil {
		t.Skipf("run `make test-typescript` first: %v", err)
	}
	for name, value := range map[string]string{
		"npm_config_prefer_offline": "true", "npm_config_audit": "false", "npm_config_fund": "false", "npm_config_loglevel": "silent",
	} {
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	fromHere(t, programtest.ReadSession(t, repository+"/typescript/README.md")).Run(t, dir, programtest.Local(t))
	open := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e",
		`import { open } from "@oslorpc/oslorpc"; await open("local://`+dir+`/fleet").close()`)
	open.Dir = dir
	if out, err := open.CombinedOutput(); err != nil {
		t.Errorf("a program cannot use the package: %v, %s", err, out)
	}
}
