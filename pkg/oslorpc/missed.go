package oslorpc

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// WithMissedMessages has missed called when messages for the server may have been lost on the way to it, though it ran: after its
// registration had lapsed and came back, since others may not have known of it, and a fanout that does not know a server does not
// reach it; and when a sender that failed to reach the server with a fanout, a gather or a message by its name, since the server
// started, reaches it with the next one. It is the moment to read anew whatever changes are otherwise told of. The reason is for
// people.
//
// Missed is not called concurrently with itself; of several reasons that come while it runs, it is told of one afterwards. Its ctx
// ends when the server begins to stop, which does not wait for it. In memory:// and static:// nothing can lapse.
func WithMissedMessages(missed func(ctx context.Context, reason string)) ServerOption {
	return serverOption(func(s *Server) { s.missed = missed })
}

// lapses tells the servers of a transport that their registrations lapsed. Its lock is taken last of all: registries call it from
// under theirs.
type lapses struct {
	mu   sync.Mutex
	runs map[*serverRun]bool
}

func (l *lapses) tell(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for run := range l.runs {
		run.tell(reason)
	}
}

// listen has missed called during a run, for lapses and for whatever else the run is told.
func (l *lapses) listen(run *serverRun, missed func(context.Context, string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[*serverRun]bool{}
	}
	l.runs[run] = true
	go l.serve(run, missed)
}

// serve calls missed until the server begins to stop. If missed ends the goroutine, another
// goroutine goes on.
func (l *lapses) serve(run *serverRun, missed func(context.Context, string)) {
	defer func() {
		if run.isEnding() {
			l.leave(run)
		} else {
			go l.serve(run, missed)
		}
	}()
	for {
		select {
		case reason := <-run.reasons:
			missed(run.phase.Serving(), reason)
		case <-run.phase.Serving().Done():
			return
		}
	}
}

func (l *lapses) leave(run *serverRun) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, run)
}

// tell does not wait for the server: if it has not yet heard of another reason, it hears of that one.
func (r *serverRun) tell(reason string) {
	select {
	case r.reasons <- reason:
	default:
	}
}

// undelivered tells the server that a message for it could not be delivered, unless it started after that. Both times are lengths
// before now, by the clocks of those who measured them, so that the clocks need not agree. What the message took to get here is in
// neither: at worst a server that started meanwhile is told in vain.
func (r *serverRun) undelivered(ago time.Duration) {
	if r.reasons != nil && time.Since(r.began) > ago {
		r.tell(fmt.Sprintf("a sender could not deliver a message %v ago", ago.Round(time.Millisecond)))
	}
}
