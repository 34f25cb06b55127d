package architecture

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dependencies returns all packages that a program with this import links, except for the standard
// library.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+pkg)
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// A program with local://, static:// or memory:// links neither Consul's client nor the registry
// that uses it. A program that imports this registry links both.
func TestWeight(t *testing.T) {
	isConsul := func(pkg string) bool { return strings.Contains(pkg, "consul") }
	for _, light := range []string{"pkg/oslorpc", "pkg/oslorpctest", "pkg/registry", "pkg/registry/registrytest"} {
		if found := slices.DeleteFunc(dependencies(t, light), func(pkg string) bool { return !isConsul(pkg) }); len(found) > 0 {
			t.Errorf("%s links %q: only programs that import pkg/registry/consul do", light, found)
		}
	}
	if !slices.ContainsFunc(dependencies(t, "pkg/registry/consul"), isConsul) {
		t.Error("the test does not recognize packages of Consul")
	}
}
