package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
)

// asProgram is an environment variable that makes the test binary act as the program. Processes
// that tests start therefore run the code under test, with the race detector if the tests have it.
const asProgram = "OSLORPC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	// With the race detector, each process waits a second at its end for late reports.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=10"); err != nil {
		panic(err)
	}
	anycarrier.Main(m)
}

// result is the outcome of a command line.
type result struct {
	code      int
	out, errs string
}

// lines returns the lines of standard output.
func (r result) lines() []string {
	if r.out == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
}

// runWith runs a command line in this process.
func runWith(input string, args ...string) result {
	var out, errs bytes.Buffer
	code := run(args, strings.NewReader(input), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// wantCode fails the test unless the exit code is the given one. An error must be one line on
// standard error.
func wantCode(t *testing.T, r result, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.errs)
	}
	if code != 0 && (!strings.HasSuffix(r.errs, "\n") || strings.Count(r.errs, "\n") != 1) {
		t.Errorf("want one line on standard error, got %q", r.errs)
	}
}

// parse parses JSON text.
func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return v
}
