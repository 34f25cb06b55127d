package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// notRun is how many command blocks say that no test runs them, with a reason. Raise it only for
// commands that no test can run.
const notRun = 1

// ranElsewhere lists the pages that tests read in another way.
var ranElsewhere = map[string]string{
	"examples/upgrade/README.md": "internal/examples/upgrade/readme_test.go",
}

var (
	shell  = regexp.MustCompile("^```(console|sh|bash|shell)$")
	unmark = regexp.MustCompile(`^<!-- not run: (.{10,}) -->$`)
)

// block is a command block in a page.
type block struct {
	page, section string
	line          int
	// reason is why no test runs the block. It is empty if a test does.
	reason string
}

// blocks returns the command blocks in a page.
func blocks(page, text string) []block {
	var list []block
	section, before, inside := "", "", false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			if !inside && shell.MatchString(line) {
				b := block{page: page, section: section, line: n}
				if found := unmark.FindStringSubmatch(before); found != nil {
					b.reason = found[1]
				}
				list = append(list, b)
			}
			inside = !inside
		case !inside && strings.HasPrefix(line, "## "):
			section = line
		}
		if line != "" {
			before = line
		}
	}
	return list
}

// sessionsRead returns the pages that tests read with programtest.ReadSession, each with the
// sections that they read. "" means the whole page.
func sessionsRead(t *testing.T) map[string]map[string]bool {
	t.Helper()
	read := map[string]map[string]bool{}
	files(t, "", "_test.go", func(path, text string) {
		if !strings.Contains(text, "programtest.ReadSession(") {
			return
		}
		file, constants := parse(t, path), map[string]string{}
		neighbors, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*_test.go"))
		for _, neighbor := range neighbors {
			addConstants(constants, parse(t, neighbor))
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			if name, ok := call.Fun.(*ast.SelectorExpr); !ok || name.Sel.Name != "ReadSession" {
				return true
			}
			page, ok := textOf(call.Args[1], constants)
			if !ok {
				t.Errorf("%s: the page of ReadSession must be a constant, so that this test knows it", path)
				return true
			}
			page, _ = filepath.Rel(root, filepath.Join(filepath.Dir(path), page))
			if read[page] == nil {
				read[page] = map[string]bool{}
			}
			for _, arg := range call.Args[2:] {
				section, _ := textOf(arg, constants)
				read[page][section] = true
			}
			if len(call.Args) == 2 {
				read[page][""] = true
			}
			return true
		})
	})
	return read
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// addConstants adds the string constants of a file.
func addConstants(known map[string]string, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return true
		}
		for i, name := range spec.Names {
			if text, ok := textOf(spec.Values[i], known); ok {
				known[name.Name] = text
			}
		}
		return true
	})
}

// textOf returns the value of a constant string expression.
func textOf(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.Ident:
		text, ok := constants[e.Name]
		return text, ok
	case *ast.BinaryExpr:
		left, isLeft := textOf(e.X, constants)
		right, isRight := textOf(e.Y, constants)
		return left + right, isLeft && isRight && e.Op == token.ADD
	default:
		return "", false
	}
}

// For each command block in a page, either a test runs it or the page says why no test does.
func TestCommandsOfPagesAreRun(t *testing.T) {
	read := sessionsRead(t)
	ran, excused := 0, 0
	files(t, "", ".md", func(path, text string) {
		page, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(page, text) {
			switch {
			case b.reason != "":
				excused++
				t.Logf("%s:%d is not run: %s", b.page, b.line, b.reason)
			case read[page][""], read[page][b.section], ranElsewhere[page] != "":
				ran++
			default:
				t.Errorf("%s:%d: no test runs these commands: read the page with programtest.ReadSession in a test, "+
					"or write <!-- not run: REASON --> above the block", b.page, b.line)
			}
		}
	})
	if excused != notRun {
		t.Errorf("%d blocks say that they are not run, but notRun is %d: correct notRun", excused, notRun)
	}
	t.Logf("tests run %d blocks of commands, and do not run %d", ran, excused)
}

// The check finds blocks, marks and sections.
func TestBlocks(t *testing.T) {
	text := "## One\n```console\n$ a\n```\n\n<!-- not run: needs a real data center -->\n```sh\nb\n```\n```go\n## no heading\n```\n" +
		"## Two\n<!-- not run: short -->\n```bash\nc\n```\n"
	got := blocks("p.md", text)
	want := []block{
		{"p.md", "## One", 2, ""}, {"p.md", "## One", 7, "needs a real data center"}, {"p.md", "## Two", 15, ""},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}
