//go:build linux

package lab_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/lab/scenario"
)

var (
	quoted   = regexp.MustCompile("`([A-Za-z0-9-]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// Each test and each scenario that the track record names exists.
func TestTrackRecord(t *testing.T) {
	there := tests(t)
	for _, s := range scenario.All() {
		there = append(there, s.Name)
	}
	document, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, record, found := strings.Cut(string(document), "## Track record")
	if !found {
		t.Fatal("docs/reliability.md has no section \"Track record\"")
	}
	rows := 0
	for line := range strings.Lines(record) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || cells[0] == "| fault" {
			continue
		}
		rows++
		for _, name := range quoted.FindAllStringSubmatch(cells[3], -1) {
			if !slices.Contains(there, name[1]) {
				t.Errorf("the track record names %q, which is neither a test nor a scenario", name[1])
			}
		}
	}
	if rows < 30 {
		t.Errorf("the track record has only %d faults: is its table malformed?", rows)
	}
}

// tests returns the names of all tests in the repository.
func tests(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range testFunc.FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
