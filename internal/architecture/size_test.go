package architecture

import (
	"go/ast"
	"testing"
)

const (
	maxFile     = 400
	maxFunction = 50
)

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		line := func(n ast.Node) (from, to int) { return s.files.Position(n.Pos()).Line, s.files.Position(n.End()).Line }
		if n := s.files.File(s.file.Pos()).LineCount(); n > maxFile {
			t.Errorf("%s has %d lines: split it by concept, at most %d", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if from, to := line(f); to-from+1 > maxFunction {
				t.Errorf("%s:%d: %s has %d lines: at most %d", s.path, from, f.Name.Name, to-from+1, maxFunction)
			}
		}
	}
}
