package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/oslorpc/oslorpc/"
)

// source is a Go file of the repository that is neither a test nor generated.
type source struct {
	// path and pkg are relative to the root, for example "internal/route/view.go" and
	// "internal/route".
	path, pkg string
	file      *ast.File
	files     *token.FileSet
}

// imports returns the import paths of a file. Paths of this module are relative to the root.
func (s *source) imports() []string {
	list := make([]string, 0, len(s.file.Imports))
	for _, i := range s.file.Imports {
		path, _ := strconv.Unquote(i.Path.Value) // the parser accepted it
		list = append(list, strings.TrimPrefix(path, module))
	}
	return list
}

// sources parses all source files of the repository.
func sources(t *testing.T) []*source {
	t.Helper()
	var list []*source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		list = append(list, &source{path: relative, pkg: filepath.ToSlash(filepath.Dir(relative)), file: file, files: files})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 100 {
		t.Fatalf("found %d files: is %s the root?", len(list), root)
	}
	return list
}
