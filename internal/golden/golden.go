// Package golden reads and writes the files in proto/testdata for tests. Tests in every language
// use these files, to check that all implementations agree.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

var update = flag.Bool("update", false, "write the results of this implementation to proto/testdata")

// Updating reports whether the test must write its results with [Save] instead of comparing them.
func Updating() bool { return *update }

// Load returns the cases in a section of a file. There is at least one case.
func Load[T any](t *testing.T, file, section string) []T {
	t.Helper()
	var cases []T
	text, found := sections(t, file)[section]
	if !found {
		t.Fatalf("%s has no section %q", file, section)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cases); err != nil {
		t.Fatalf("%s: %s: %v", file, section, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s: %s has no cases", file, section)
	}
	return cases
}

// Save writes the cases of a section if the test is updating.
func Save[T any](t *testing.T, file, section string, cases []T) {
	t.Helper()
	if !*update {
		return
	}
	all := sections(t, file)
	text, err := encode(cases)
	if err != nil {
		t.Fatal(err)
	}
	all[section] = text
	if text, err = encode(all); err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(file), indented.Bytes(), 0o644); err != nil { //nolint:gosec // It is source.
		t.Fatal(err)
	}
}

// Equal reports whether two values are the same as JSON.
func Equal(t *testing.T, a, b any) bool {
	t.Helper()
	return string(canonical(t, a)) == string(canonical(t, b))
}

func canonical(t *testing.T, v any) []byte {
	t.Helper()
	text, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	if text, err = encode(plain); err != nil {
		t.Fatal(err)
	}
	return text
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}

func sections(t *testing.T, file string) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile(path(file))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

// path returns the path of a file, independent of the package of the test.
func path(file string) string {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		panic("cannot determine the path of the source file golden.go")
	}
	return filepath.Join(filepath.Dir(here), "..", "..", "proto", "testdata", file)
}
