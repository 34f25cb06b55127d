package architecture

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code     = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
	named    = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Za-z0-9_]+)`")
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)[A-Za-z0-9_]+)\(`)
)

// files calls read with each file below a directory of the module whose name ends with a suffix.
func files(t *testing.T, dir, suffix string, read func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules" || d.Name() == "dist"): // not part of the repository
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			read(path, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Links from documents to files are valid.
func TestLinksLeadSomewhere(t *testing.T) {
	files(t, "", ".md", func(path, text string) {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, err := url.Parse(found[1])
			if err != nil || target.IsAbs() || target.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(target.Path))); err != nil {
				t.Errorf("%s: the link %s leads to no file", path, found[1])
			}
		}
	})
}

// Tests that documents mention exist.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	files(t, "", "_test.go", func(_, text string) {
		for _, found := range declared.FindAllStringSubmatch(text, -1) {
			tests[found[1]] = true
		}
	})
	files(t, "docs", ".md", func(path, text string) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			if !tests[found[1]] {
				t.Errorf("%s: there is no test %s", path, found[1])
			}
		}
	})
}

// vague are words for people that texts must not use for programs. Texts should name the thing
// instead: "no server", "the caller", "its own".
var vague = regexp.MustCompile(`(?i)\b(nobody|somebody|anybody|whoever|that of|those of)\b`)

// Documents and comments do not use vague words for programs.
func TestProse(t *testing.T) {
	files(t, "", ".md", func(path, text string) {
		if filepath.Base(path) == "CONTRIBUTING.md" {
			return // it quotes the vague words
		}
		for _, found := range vague.FindAllString(code.ReplaceAllString(text, ""), -1) {
			t.Errorf("%s: name the thing in place of %q, such as \"no server\"", path, found)
		}
	})
	files(t, "", ".go", func(path, text string) {
		if strings.HasSuffix(path, ".pb.go") {
			return
		}
		checkComments(t, path, goComment.FindAllStringIndex(text, -1), text)
		for _, found := range vagueName.FindAllString(text, -1) {
			t.Errorf("%s: the name %s has a vague word: name the thing, such as \"NoServer\"", path, found)
		}
	})
	for suffix, comments := range map[string]*regexp.Regexp{".py": pyComment, ".ts": goComment, ".proto": goComment} {
		files(t, "", suffix, func(path, text string) {
			if !strings.Contains(path, "/gen/") && !strings.HasSuffix(path, "_pb2.py") {
				checkComments(t, path, comments.FindAllStringIndex(text, -1), text)
			}
		})
	}
}

var (
	// vagueName matches names of tests that contain such words.
	vagueName = regexp.MustCompile(`\bfunc (?:Test|Fuzz|Example|Benchmark)\w*(?:[Nn]obody|[Ss]omebody|[Aa]nybody|[Ww]hoever|ThatOf|ThoseOf)\w*`)
	// goComment matches comments of Go, TypeScript and protobuf. pyComment matches comments of
	// Python and strings over several lines.
	goComment = regexp.MustCompile(`(?m)^\s*//.*$|\s// .*$|(?s:/\*.*?\*/)`)
	pyComment = regexp.MustCompile(`(?m)^\s*# .*$|  # .*$|(?s:""".*?""")`)
)

// checkComments reports vague words in comments. comments are the positions of the comments in the
// text.
func checkComments(t *testing.T, path string, comments [][]int, text string) {
	t.Helper()
	for _, at := range comments {
		for _, found := range vague.FindAllString(quotedText.ReplaceAllString(text[at[0]:at[1]], ""), -1) {
			t.Errorf("%s:%d: name the thing in place of %q, such as \"no server\"", path, 1+strings.Count(text[:at[0]], "\n"), found)
		}
	}
}

// quotedText matches text that a comment quotes.
var quotedText = regexp.MustCompile(`"[^"\n]*"|` + "`[^`\n]*`")
