package publicapi

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Each exported function and method of package oslorpc is used in an example that runs, because it
// has output. Each example can be read and run without other files.
func TestEachFunctionIsInAnExample(t *testing.T) {
	l := loaded(t)
	p := l.pkg(t, main)
	shown := examplesOf(t, l, main)
	for _, e := range surface(p) {
		f, is := e.object.(*types.Func)
		if is && !shown.shows(f) && !needsNoExample(f) {
			t.Errorf("%s is in no example of pkg/oslorpc that has output: use it in one, or write one", e.text)
		}
	}
}

// needsNoExample reports whether programs do not call a function themselves: a method of an
// interface, a JSON method, or a method that a program embeds.
func needsNoExample(f *types.Func) bool {
	receiver := f.Signature().Recv()
	if receiver == nil {
		return false
	}
	t := receiver.Type()
	if p, is := t.(*types.Pointer); is {
		t = p.Elem()
	}
	named, is := t.(*types.Named)
	return is && (types.IsInterface(named) || named.Obj().Name() == "NoSerializer") ||
		strings.HasPrefix(f.Name(), "MarshalJSON") || strings.HasPrefix(f.Name(), "UnmarshalJSON")
}

// examples records what the examples of a package use.
type examples struct {
	used  map[types.Object]bool
	named map[string]bool // such as "Client_Invoke"
}

// shows reports whether an example uses a function or is named after it. Generated code calls some
// methods for a program.
func (e *examples) shows(f *types.Func) bool {
	if e.used[f.Origin()] || e.named[f.Name()] {
		return true
	}
	receiver := f.Signature().Recv()
	if receiver == nil {
		return false
	}
	t := receiver.Type()
	if p, is := t.(*types.Pointer); is {
		t = p.Elem()
	}
	named, is := t.(*types.Named)
	return is && e.named[named.Obj().Name()+"_"+f.Name()]
}

func examplesOf(t *testing.T, l *library, importPath string) *examples {
	t.Helper()
	files := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(root, "pkg", path.Base(importPath), "example*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	e := &examples{used: map[types.Object]bool{}, named: map[string]bool{}}
	var parsed []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range doc.Examples(file) {
			if example.Output == "" {
				t.Errorf("%s: Example%s is not run: give it output", name, example.Name)
			}
			if example.Play == nil {
				t.Errorf("%s: Example%s uses declarations of other files: move them into this file", name, example.Name)
			}
			e.named[example.Name] = true
		}
		parsed = append(parsed, file)
	}
	uses := map[*ast.Ident]types.Object{}
	config := types.Config{Importer: l.imports, Error: func(error) {}} // packages that only examples import are not compiled
	_, _ = config.Check(importPath+"_test", files, parsed, &types.Info{Uses: uses})
	for _, object := range uses {
		if f, is := object.(*types.Func); is {
			object = f.Origin()
		}
		e.used[object] = true
	}
	return e
}
