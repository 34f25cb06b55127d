package architecture

import (
	"go/ast"
	"go/token"
	"testing"
)

// Each exported name has a comment that pkg.go.dev and editors can show.
func TestExportsAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.file.Name.Name == "main" { // no package can import it
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && isOfExported(d) && d.Doc == nil {
					t.Errorf("%v: %s has no comment", s.files.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, d)
			}
		}
	}
}

// isOfExported reports whether a function has no receiver, or an exported receiver type.
func isOfExported(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}

func checkSpecs(t *testing.T, s *source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				t.Errorf("%v: type %s has no comment", s.files.Position(spec.Pos()), spec.Name.Name)
			}
		case *ast.ValueSpec:
			// One comment may describe a group of constants.
			if d.Tok != token.IMPORT && spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				t.Errorf("%v: %s has no comment", s.files.Position(spec.Pos()), spec.Names[0].Name)
			}
		}
	}
}
