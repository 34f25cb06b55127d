package architecture

import (
	"go/ast"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxFile     = 400
	maxFunction = 50
	maxComment  = 100 // columns
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

// Comments wrap, but for code in them and for comments that follow code on its line.
func TestCommentsWrap(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				at := s.files.Position(c.Pos())
				columns := at.Column - 1 + utf8.RuneCountInString(c.Text)
				isText := strings.HasPrefix(c.Text, "// ") && at.Column <= maxIndent
				if isText && columns > maxComment {
					t.Errorf("%s:%d: the comment has %d columns: wrap it at %d", s.path, at.Line, columns, maxComment)
				}
			}
		}
	}
}

// maxIndent is the last column at which a comment has its line for itself.
const maxIndent = 6
