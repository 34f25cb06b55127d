package oslorpctest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// failingHandler is an environment variable for the process in which the handler fails its test.
const failingHandler = "OSLORPCTEST_FAILING"

// A failed assertion in a handler fails the test, and the caller does not wait for the call's
// minute. The failing test runs in a separate process.
func TestFailedAssertionInAHandler(t *testing.T) {
	if os.Getenv(failingHandler) != "" {
		failInHandler(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	test := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFailedAssertionInAHandler$", "-test.v")
	test.Env = append(os.Environ(), failingHandler+"=1")
	out, err := test.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the test hangs:\n%s", out)
	}
	if err == nil {
		t.Errorf("the test passes although its handler failed")
	}
	for _, want := range []string{"--- FAIL: TestFailedAssertionInAHandler", "the assertion failed", "the caller got: ", "runtime.Goexit"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Logf("the output is:\n%s", out)
	}
}

func failInHandler(t *testing.T) {
	t.Helper()
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{{Methods: map[string]oslorpc.Method{
		"assert": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			t.Fatal("the assertion failed")
			return nil, nil
		}),
	}}})
	c := f.Client(oslorpc.Target{Topic: "agents"})
	if err := c.Cast(t.Context(), "assert", nil); err != nil {
		t.Errorf("the cast: %v", err)
	}
	_, err := oslorpc.Call[any](t.Context(), c, "assert", nil)
	t.Logf("the caller got: %v", err)
}
