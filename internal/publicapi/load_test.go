package publicapi

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	// The tests depend on these packages, so that go test runs them again after a change.
	_ "github.com/oslorpc/oslorpc/pkg/interceptor"
	_ "github.com/oslorpc/oslorpc/pkg/middleware"
	_ "github.com/oslorpc/oslorpc/pkg/oslorpctest"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul"
	_ "github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	_ "github.com/oslorpc/oslorpc/pkg/trust"
	_ "github.com/oslorpc/oslorpc/pkg/trust/jwt"
)

const (
	root   = "../.."
	module = "github.com/oslorpc/oslorpc/"
	main   = module + "pkg/oslorpc"
)

// library has the compiled packages of this module and all their imports.
type library struct {
	files   *token.FileSet
	imports types.Importer
	public  []string // import paths of the public packages
}

// load compiles the public packages and reads the types that the compiler exported.
var load = sync.OnceValues(func() (*library, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./pkg/...")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	lib := &library{files: token.NewFileSet()}
	for line := range strings.Lines(string(out)) {
		importPath, export, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[importPath] = export
		if isPublic(importPath) {
			lib.public = append(lib.public, importPath)
		}
	}
	slices.Sort(lib.public)
	lib.imports = importer.ForCompiler(lib.files, "gc", func(importPath string) (io.ReadCloser, error) {
		return os.Open(exports[importPath])
	})
	return lib, nil
})

// isPublic reports whether programs import a package and its source is not generated.
func isPublic(importPath string) bool {
	return strings.HasPrefix(importPath, module+"pkg/") && !strings.HasPrefix(importPath, module+"pkg/api/")
}

func loaded(t *testing.T) *library {
	t.Helper()
	lib, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(lib.public, main) {
		t.Fatalf("the public packages lack %s: %v", main, lib.public)
	}
	return lib
}

func (l *library) pkg(t *testing.T, importPath string) *types.Package {
	t.Helper()
	p, err := l.imports.Import(importPath)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// forEach runs a test for each public package.
func forEach(t *testing.T, test func(t *testing.T, l *library, p *types.Package)) {
	t.Helper()
	l := loaded(t)
	for _, importPath := range l.public {
		t.Run(path.Base(importPath), func(t *testing.T) { test(t, l, l.pkg(t, importPath)) })
	}
}
