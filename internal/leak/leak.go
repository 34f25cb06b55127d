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

// patience is how long goroutines have to end after the tests: closing a connection is seen by its
// readers a little later.
const patience = 5 * time.Second

// Main runs the tests of a package and exits; if they pass but goroutines stay, it prints their
// stacks and exits with 1. Use it as
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// What is to be done after the tests comes first, such as removing what they shared.
func Main(m *testing.M, after ...func()) { os.Exit(Run(m, after...)) }

// Run is Main, and returns the code in place of exiting.
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

// wait returns the stacks of the goroutines that are still there after so long; none as soon as
// none is left.
func wait(long time.Duration) []string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	leaked := running()
	for end := time.Now().Add(long); len(leaked) > 0 && time.Now().Before(end); leaked = running() {
		<-tick.C
	}
	return leaked
}

// running returns the stacks of all goroutines but those that every test binary may have.
func running() []string {
	var stacks []string
	for stack := range strings.SplitSeq(allStacks(), "\n\n") {
		if !expected(stack) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// expected reports whether a stack is of the main goroutine, which no other created, or of one that
// the testing package, the runtime or os/signal started; the latter never ends its one.
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
