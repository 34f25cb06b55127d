package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/examples/upgrade/dynamic"
	"github.com/oslorpc/oslorpc/examples/upgrade/typed"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	callers = 32
	// pace is the interval between calls of the fastest caller. Each caller has its own, so that
	// they do not call at the same times. Together they call about 800 times a second.
	pace = 32 * time.Millisecond
	// callTimeout bounds each call.
	callTimeout = 10 * time.Second
)

// api is the part of the dynamic and the typed client that the callers use.
type api interface {
	Why(ctx context.Context) (*oslorpc.CapReason, error)
	MyRemoteMethod2(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error)
}

// load is a set of callers that call until they are stopped. Half of them use the dynamic
// interface, and half the typed one.
type load struct {
	apis    []api
	cancel  context.CancelFunc
	calling sync.WaitGroup
	// all counts all calls, and current counts calls that begin now.
	all     tally
	current atomic.Pointer[tally]

	mu      sync.Mutex
	first   error             // the first failure
	release map[string]string // the release that each server reported last
}

// startLoad starts the callers. They stop when ctx ends.
func startLoad(ctx context.Context, t *oslorpc.Transport) *load {
	options := []oslorpc.ClientOption{oslorpc.WithVersionCap(oslorpc.AutoCap), oslorpc.WithTimeout(callTimeout)}
	l := &load{
		apis: []api{dynamic.NewClientAPI(t, options...), typed.NewClientAPI(t, options...)},
		all:  tally{began: time.Now(), at: map[string]int{}}, release: map[string]string{},
	}
	l.count(oslorpc.Version{})
	ctx, l.cancel = context.WithCancel(ctx)
	for n := range callers {
		l.calling.Go(func() { l.caller(ctx, l.apis[n%len(l.apis)], pace+time.Duration(n)*time.Millisecond/2) })
	}
	return l
}

// stop ends the callers, and returns the first failure of a call.
func (l *load) stop() error {
	l.cancel()
	l.calling.Wait()
	return l.first
}

// caller makes calls until ctx ends. It does not cancel calls in progress.
func (l *load) caller(ctx context.Context, c api, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		counting := l.current.Load()
		a, err := c.MyRemoteMethod2(context.WithoutCancel(ctx), "a", "b")
		if err == nil {
			err = counting.check(a)
		}
		l.note(a, err)
		counting.add(a, err)
		l.all.add(a, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *load) note(a upgrade.Answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.release[a.Server] = a.Release
	} else if l.first == nil {
		l.first = fmt.Errorf("the first call that failed: %w", err)
	}
}

// says returns what a server last reported about itself.
func (l *load) says(server string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.release[server]
}

// count starts a new count for calls that begin from now on. If want is given, they must run at
// that version.
func (l *load) count(want oslorpc.Version) *tally {
	t := &tally{want: want, began: time.Now(), at: map[string]int{}}
	l.current.Store(t)
	return t
}
