package host

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// listeners are the runs that want to hear of messages that they may have missed. Their lock comes
// after all others: registries report a lapse while they hold theirs.
type listeners struct {
	mu   sync.Mutex
	runs map[*run]bool
}

// tell tells all of them.
func (l *listeners) tell(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r := range l.runs {
		r.tell(reason)
	}
}

// add has missed called for what a run is told, until its stop begins.
func (l *listeners) add(r *run, missed func(context.Context, string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[*run]bool{}
	}
	l.runs[r] = true
	go l.serve(r, missed)
}

// serve calls missed until the server begins to stop. If missed ends the goroutine, another
// goroutine goes on.
func (l *listeners) serve(r *run, missed func(context.Context, string)) {
	defer func() {
		if r.isEnding() {
			l.remove(r)
		} else {
			go l.serve(r, missed)
		}
	}()
	for {
		select {
		case reason := <-r.reasons:
			missed(r.phase.Serving(), reason)
		case <-r.phase.Serving().Done():
			return
		}
	}
}

func (l *listeners) remove(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, r)
}

// tell does not wait for the program: if it has not heard of an earlier reason yet, it hears of
// that one.
func (r *run) tell(reason string) {
	select {
	case r.reasons <- reason:
	default:
	}
}

// undelivered tells the program that a message for the server could not be delivered, unless the
// server started after that. Both times are lengths before now, each by the clock that measured it,
// so the clocks need not agree. Neither counts the time that the message took to get here: at
// worst, a server that started meanwhile is told in vain.
func (r *run) undelivered(ago time.Duration) {
	if r.reasons != nil && time.Since(r.began) > ago {
		r.tell(fmt.Sprintf("a sender could not deliver a message %v ago", ago.Round(time.Millisecond)))
	}
}
