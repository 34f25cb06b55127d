package architecture

import (
	"go/ast"
	"regexp"
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

// Comments wrap at 100 columns, except for code in comments and comments that follow code on a
// line.
func TestCommentsWrap(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^\t*// .*$`)
	files(t, "", ".go", func(path, text string) {
		if !strings.HasSuffix(path, ".pb.go") {
			checkWidths(t, path, comment.FindAllStringIndex(text, -1), text)
		}
	})
}

// Comments of Python and TypeScript wrap too, except for directives and generated code.
func TestCommentsOfOtherLanguagesWrap(t *testing.T) {
	for dir, comments := range map[string]*regexp.Regexp{
		"python":     regexp.MustCompile(`(?m)^ *#.*$|(?ms:^ *""".*?"""$)`),
		"typescript": regexp.MustCompile(`(?m)^ *//.*$|(?ms:^ */\*\*.*?\*/$)`),
	} {
		for _, suffix := range []string{".py", ".ts"} {
			files(t, dir, suffix, func(path, text string) {
				if !strings.Contains(path, "/gen/") && !strings.HasSuffix(path, "_pb2.py") {
					checkWidths(t, path, comments.FindAllStringIndex(text, -1), text)
				}
			})
		}
	}
}

// directive matches a comment for a tool, which cannot wrap.
var directive = regexp.MustCompile(`^ *(#|//) ?(noqa|type:|mypy:|ruff:|biome-ignore|@ts-)`)

// checkWidths reports comment lines that are too wide. comments are the positions of the comments
// in the text.
func checkWidths(t *testing.T, path string, comments [][]int, text string) {
	t.Helper()
	for _, at := range comments {
		first := 1 + strings.Count(text[:at[0]], "\n")
		for n, line := range strings.Split(text[at[0]:at[1]], "\n") {
			if columns := utf8.RuneCountInString(line); columns > maxComment && !directive.MatchString(line) {
				t.Errorf("%s:%d: the comment has %d columns: wrap it at %d", path, first+n, columns, maxComment)
			}
		}
	}
}
