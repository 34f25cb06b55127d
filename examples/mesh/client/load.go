package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// loaders is how many goroutines send calls. Half of them keep their connections, and half open a
// new one after a few calls.
const loaders = 4

// loaded counts the outcomes of the calls. It is safe for concurrent use.
type loaded struct {
	calls, failed atomic.Int64

	mu    sync.Mutex
	now   string // what was printed last
	last  string // what the last call came to
	alike int    // how many calls came to the same, one after the other
}

// settled is how many calls in a row must have the same outcome before it is printed. Servers do
// not learn of a change at the same time, so outcomes alternate for a while.
const settled = 20

// load calls until ctx ends. A denied call did not run, so the caller tries again after a while.
// Any other error counts as a failure.
func load(ctx context.Context, url string, target oslorpc.Target) error {
	var l loaded
	var callers sync.WaitGroup
	for n := range loaders {
		callers.Go(func() {
			for ctx.Err() == nil {
				l.use(ctx, url, target, n%2 == 0)
			}
		})
	}
	callers.Wait()
	if l.failed.Load() > 0 {
		return fmt.Errorf("%d of %d calls failed", l.failed.Load(), l.calls.Load())
	}
	fmt.Println("no call failed")
	return nil
}

// use opens a transport, and sends calls with it.
func (l *loaded) use(ctx context.Context, url string, target oslorpc.Target, keep bool) {
	t, err := open(url)
	if err != nil {
		l.note(err)
		return
	}
	defer t.Close()
	c := t.Client(target)
	for n := 0; ctx.Err() == nil && (keep || n < 10); n++ {
		_, err := oslorpc.Call[string](context.WithoutCancel(ctx), c, "where", nil) // none is cut short
		l.note(err)
		if err != nil {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// note counts a call, and prints whether calls are allowed when that has changed.
func (l *loaded) note(err error) {
	l.calls.Add(1)
	now := "calls are allowed"
	switch {
	case errors.Is(err, oslorpc.AccessDenied):
		now = "calls are denied"
		if strings.Contains(err.Error(), "L7 intention") {
			now += ": the intention is for proxies"
		}
	case err != nil:
		l.failed.Add(1)
		now = "a call failed: " + err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alike++; now != l.last {
		l.last, l.alike = now, 1
	}
	if now != l.now && l.alike >= settled {
		l.now = now
		fmt.Println(now)
	}
}
