package leak

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestWait(t *testing.T) {
	release := make(chan struct{})
	go func() { <-release }()

	leaked := wait(0)
	if len(leaked) != 1 || !strings.Contains(leaked[0], "leak.TestWait") {
		t.Errorf("want the one goroutine that waits, got:\n%s", strings.Join(leaked, "\n\n"))
	}
	close(release)
	if leaked := wait(10 * time.Second); len(leaked) != 0 {
		t.Errorf("want none after it was released, got:\n%s", strings.Join(leaked, "\n\n"))
	}
}

func TestExpected(t *testing.T) {
	for _, test := range []struct {
		name, stack string
		want        bool
	}{
		{"main", "goroutine 1 [running]:\nmain.main()\n\t_testmain.go:45", true},
		{"a test", "goroutine 7 [chan receive]:\np.TestX()\n\tx_test.go:1\ncreated by testing.(*T).Run in goroutine 1", true},
		{"signals", "goroutine 8 [syscall]:\nos/signal.loop()\ncreated by os/signal.Notify.func1.1 in goroutine 1", true},
		{"of a test", "goroutine 9 [select]:\np.run()\n\tp.go:1\ncreated by p.TestX in goroutine 7", false},
		{"like testing", "goroutine 9 [select]:\np.run()\n\tp.go:1\ncreated by testingtools.X in goroutine 7", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := expected(test.stack); got != test.want {
				t.Errorf("expected(%q) = %v, want %v", test.stack, got, test.want)
			}
		})
	}
}
