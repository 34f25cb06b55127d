//go:build linux

package role

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// patience is how long closed resources may take to disappear.
const patience = 5 * time.Second

// stock is the set of resources that a process has.
type stock struct {
	goroutines  int
	descriptors []string
}

func takeStock() stock { return stock{runtime.NumGoroutine(), descriptors()} }

// compare waits until there are no more resources than before, and records the surplus if that
// takes too long.
func (before stock) compare(end *history.Exit) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		now := takeStock()
		more := before.newOf(now)
		if now.goroutines <= before.goroutines && len(more) == 0 {
			return
		}
		if time.Now().After(deadline) {
			end.Descriptors = more
			if end.Goroutines = max(0, now.goroutines-before.goroutines); end.Goroutines > 0 {
				end.Stacks = stacks()
			}
			return
		}
	}
}

// newOf returns the descriptors that are open now and were not before. Files that the runtime keeps
// open do not count.
func (before stock) newOf(now stock) []string {
	var more []string
	for _, d := range now.descriptors {
		if !slices.Contains(before.descriptors, d) && !strings.Contains(d, "anon_inode:") {
			more = append(more, d)
		}
	}
	return more
}

// descriptors returns the targets of all open descriptors.
func descriptors() []string {
	links, _ := filepath.Glob("/proc/self/fd/*") // the pattern is right
	var open []string
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil { // it fails for the directory's own, which is closed again
			open = append(open, filepath.Base(link)+" "+to)
		}
	}
	return open
}

func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}
