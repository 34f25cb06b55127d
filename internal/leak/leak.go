// Package leak finds goroutines that tests left running.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines may take to end after the tests. For example, readers notice a
// closed connection a little later.
const patience = 5 * time.Second

// Main runs the tests of a package and exits. If the tests pass but goroutines are left, it prints
// their stacks and exits with 1. Use it as
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// The functions in after run first, for example to remove what tests shared.
func Main(m *testing.M, after ...func()) { os.Exit(Run(m, after...)) }

// Run is Main, but returns the exit code.
func Run(m *testing.M, after ...func()) int {
	code := m.Run()
	for _, do := range after {
		do()
	}
	if code == 0 {
		if leaked := wait(patience); len(leaked) > 0 {
			fmt.Fprintf(os.Stderr, "leak: %d goroutines outlived the tests:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
			code = 1
		}
	}
	return code
}

// wait returns the stacks of the goroutines that are left after a time. It returns none as soon as
// all have ended.
func wait(long time.Duration) []string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	leaked := running()
	for end := time.Now().Add(long); len(leaked) > 0 && time.Now().Before(end); leaked = running() {
		<-tick.C
	}
	return leaked
}

// running returns the stacks of all goroutines except those that every test binary may have.
func running() []string {
	var stacks []string
	for stack := range strings.SplitSeq(allStacks(), "\n\n") {
		if !expected(stack) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// expected reports whether a stack belongs to the main goroutine, which has no creator, or to a
// goroutine that the testing package, the runtime or os/signal started. The goroutine of os/signal
// never ends.
func expected(stack string) bool {
	_, creator, found := strings.Cut(stack, "\ncreated by ")
	if !found {
		return true
	}
	for _, prefix := range []string{"testing.", "runtime.", "os/signal."} {
		if strings.HasPrefix(creator, prefix) {
			return true
		}
	}
	return false
}

func allStacks() string {
	for size := 1 << 16; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return string(buf[:n])
		}
	}
}
