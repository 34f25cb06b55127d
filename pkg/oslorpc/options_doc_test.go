package oslorpc_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// TestEveryOptionIsDocumented compares the options with the first columns of the tables in
// docs/options.md.
func TestEveryOptionIsDocumented(t *testing.T) {
	declared, documented := declaredOptions(t), documentedOptions(t)
	if len(declared) < 30 {
		t.Fatalf("only %d options were found in the sources: %v", len(declared), declared)
	}
	for _, name := range declared {
		if !slices.Contains(documented, name) {
			t.Errorf("%s has no row in docs/options.md", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(declared, name) {
			t.Errorf("docs/options.md has a row for %s, which does not exist", name)
		}
	}
}

// TestEverySettingOfTrustIsDocumented checks that tables in docs/options.md have the parameters of
// the transport URL and the variables that configure trust.
func TestEverySettingOfTrustIsDocumented(t *testing.T) {
	first := documentedCells(t)
	for _, name := range slices.Concat(security.Parameters(), trust.Variables()) {
		if !strings.Contains(first, "`"+name+"`") {
			t.Errorf("%s has no row in docs/options.md", name)
		}
	}
}

// declaredOptions returns the exported functions of the package whose names begin with With.
func declaredOptions(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "With") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func documentedOptions(t *testing.T) (names []string) {
	t.Helper()
	for cell := range strings.Lines(documentedCells(t)) {
		row, found := strings.CutPrefix(cell, "`With")
		if name, _, closed := strings.Cut(row, "`"); found && closed {
			names = append(names, "With"+name)
		}
	}
	return names
}

// documentedCells returns the first cell of each row of the tables in docs/options.md, each on a
// line.
func documentedCells(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	var cells strings.Builder
	for line := range strings.Lines(string(text)) {
		if row, found := strings.CutPrefix(line, "| "); found {
			cell, _, _ := strings.Cut(row, " |")
			cells.WriteString(cell + "\n")
		}
	}
	return cells.String()
}
