package publicapi

import (
	"errors"
	"flag"
	"fmt"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of the public API")

// Each exported name with its signature is in a golden file, so that a change of the public API is
// visible in a review.
func TestGoldenFiles(t *testing.T) {
	var files []string
	forEach(t, func(t *testing.T, _ *library, p *types.Package) {
		file := golden(p.Path())
		files = append(files, file)
		got := goldenText(p)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if diff := diff(string(want), got); diff != "" {
			t.Errorf("the API of %s differs from internal/publicapi/%s:\n%s"+
				"If you mean it, describe it in CHANGELOG.md, and run: go test ./internal/publicapi -update", p.Path(), file, diff)
		}
	})
	all, err := filepath.Glob(golden("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !slices.Contains(files, file) {
			t.Errorf("internal/publicapi/%s belongs to no package: remove it", file)
		}
	}
}

func golden(importPath string) string {
	return filepath.Join("testdata", path.Base(importPath)+".txt")
}

func goldenText(p *types.Package) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s // import %q\n\n", p.Name(), p.Path())
	for _, e := range surface(p) {
		b.WriteString(e.text + "\n")
	}
	return b.String()
}

// diff returns the lines that only one of two texts has, in order. The lines of each text are
// distinct.
func diff(before, after string) string {
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	var b strings.Builder
	for _, line := range old {
		if !slices.Contains(now, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}

// limit is the maximum number of functions and types that package oslorpc may export. Methods do
// not count.
const limit = 100

// Programmers read about all functions and types of package oslorpc, so there must not be many.
func TestSize(t *testing.T) {
	l := loaded(t)
	count := 0
	for _, e := range surface(l.pkg(t, main)) {
		if strings.HasPrefix(e.text, "func ") || strings.HasPrefix(e.text, "type ") {
			count++
		}
	}
	t.Logf("package oslorpc exports %d functions and types", count)
	if count > limit {
		t.Errorf("package oslorpc exports %d functions and types, and the limit is %d: make new ones methods, or combine some", count, limit)
	}
}
