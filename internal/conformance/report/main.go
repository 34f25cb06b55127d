// Command report runs the conformance tests and prints the results: the output of the tests that
// failed, the deliberate differences with their reasons, and a last line
//
//	N passed, N failed
//
// It exits with 1 if a test failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	passed, err := run(context.Background(), os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

// run runs the tests of the given packages and reports whether all passed. The default is the
// conformance tests.
func run(ctx context.Context, out io.Writer, packages []string) (passed bool, err error) {
	if len(packages) == 0 {
		packages = []string{"./internal/conformance"}
	}
	test := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1"}, packages...)...) //nolint:gosec // The packages are the developer's.
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := test.Start(); err != nil {
		return false, err
	}
	r, readErr := read(events)
	waitErr := test.Wait()
	r.print(out)
	if readErr != nil {
		return false, readErr
	}
	if exit := (&exec.ExitError{}); waitErr != nil && !errors.As(waitErr, &exit) {
		return false, waitErr
	}
	// The exit code of go test counts too, in case the events do not show a failure.
	return waitErr == nil && r.failed() == 0 && r.passed() > 0, nil
}
