package host

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// listeners are the runs whose programs are told about missed messages. Take their lock after all
// others: registries hold their own locks while they report a lapse.
type listeners struct {
	mu   sync.Mutex
	runs map[*run]bool
}

// tell reports to all runs that they may have missed messages.
func (l *listeners) tell(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r := range l.runs {
		r.tell(reason)
	}
}

// add starts a goroutine that calls missed for each reason that the run gets, until its stop
// begins.
func (l *listeners) add(r *run, missed func(context.Context, string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[*run]bool{}
	}
	l.runs[r] = true
	go l.serve(r, missed)
}

// missedInterval is the minimum time between two reports of senders to a server. A program may
// answer with a full synchronization, so a sender that reports again and again must not cause one
// each time.
const missedInterval = 10 * time.Second

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
	for r.pause(missed) {
		select {
		case reason := <-r.reasons:
			r.call(missed, reason)
		case reason := <-r.reports:
			r.reported = time.Now()
			r.call(missed, reason)
		case <-r.phase.Serving().Done():
			return
		}
	}
}

// pause waits until missedInterval has passed since the last report of a sender. It still calls
// missed for other reasons at once. It returns false if the server begins to stop.
func (r *run) pause(missed func(context.Context, string)) bool {
	wait := time.Until(r.reported.Add(missedInterval))
	if wait <= 0 {
		return true
	}
	next := time.NewTimer(wait)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			return true
		case reason := <-r.reasons:
			r.call(missed, reason)
		case <-r.phase.Serving().Done():
			return false
		}
	}
}

// call calls missed. A panic must not end the process: the reason may come from any sender.
func (r *run) call(missed func(context.Context, string), reason string) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("the function of WithMissedMessages panicked", "server", r.intake.Instance.Server, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	missed(r.phase.Serving(), reason)
}

func (l *listeners) remove(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, r)
}

// tell passes a reason to the goroutine that calls the program, without waiting. If an earlier
// reason still waits there, it drops the new one.
func (r *run) tell(reason string) { offer(r.reasons, reason) }

func offer(reasons chan<- string, reason string) {
	select {
	case reasons <- reason:
	default:
	}
}

// undelivered tells the program that a sender failed to deliver a message to the server, unless the
// server started after that failure. It compares two durations until now: the sender's clock
// measured ago, and this host's clock the time since the start. So the clocks need not agree. Ago
// does not include the transit time of the report: at worst, a server that started within that time
// is told without need.
func (r *run) undelivered(ago time.Duration) {
	if r.reasons != nil && time.Since(r.began) > ago {
		offer(r.reports, fmt.Sprintf("a sender could not deliver a message %v ago", ago.Round(time.Millisecond)))
	}
}
