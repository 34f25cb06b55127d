package publicapi

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

// Each exported name has a comment that pkg.go.dev and editors can show. One comment may describe
// several names that are declared together.
func TestEachNameIsDocumented(t *testing.T) {
	comments := comments{}
	forEach(t, func(t *testing.T, l *library, p *types.Package) {
		for _, e := range surface(p) {
			documented, err := comments.describe(l.files.Position(e.object.Pos()))
			if err != nil {
				t.Fatal(err)
			}
			if !documented {
				t.Errorf("%v: %s has no comment", l.files.Position(e.object.Pos()), e.text)
			}
		}
	})
}

// comments has the documented lines of source files.
type comments map[string]map[int]bool

// describe reports whether the declaration at a position has a comment.
func (c comments) describe(at token.Position) (bool, error) {
	lines, known := c[at.Filename]
	if !known {
		var err error
		if lines, err = documentedLines(at.Filename); err != nil {
			return false, err
		}
		c[at.Filename] = lines
	}
	return lines[at.Line], nil
}

func documentedLines(filename string) (map[int]bool, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, filename, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("read a source file: %w", err)
	}
	lines := map[int]bool{}
	mark := func(n ast.Node) { lines[files.Position(n.Pos()).Line] = true }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Doc != nil {
				mark(n.Name)
			}
			return false
		case *ast.GenDecl:
			markSpecs(n, mark)
		case *ast.Field:
			if n.Doc != nil || n.Comment != nil {
				mark(n)
			}
		}
		return true
	})
	return lines, nil
}

func markSpecs(d *ast.GenDecl, mark func(ast.Node)) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if d.Doc != nil || spec.Doc != nil || spec.Comment != nil {
				mark(spec)
			}
		case *ast.ValueSpec:
			if d.Doc != nil || spec.Doc != nil || spec.Comment != nil {
				mark(spec)
			}
		}
	}
}
