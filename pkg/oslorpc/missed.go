package oslorpc

import (
	"context"
	"sync"
)

// WithMissedMessages has missed called when messages for the server may have been lost on the way to it, though it ran: after its
// registration had lapsed and came back, since others may not have known of it, and a fanout that does not know a server does not
// reach it. It is the moment to read anew whatever changes are otherwise told of. The reason is for people.
//
// Missed is not called concurrently with itself; of several lapses while it runs, it is told of one more afterwards. Its ctx
// ends when the server begins to stop, which does not wait for it. Registries in which nothing can lapse, memory:// and
// static://, do not call it.
func WithMissedMessages(missed func(ctx context.Context, reason string)) ServerOption {
	return serverOption(func(s *Server) { s.missed = missed })
}

// lapses tells the servers of a transport that their registrations lapsed. Its lock is taken last of all: registries call it from
// under theirs.
type lapses struct {
	mu   sync.Mutex
	runs map[*serverRun]chan string
}

// tell does not wait for the servers: one that has not yet heard of another lapse hears of one.
func (l *lapses) tell(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, reasons := range l.runs {
		select {
		case reasons <- reason:
		default:
		}
	}
}

// listen has missed called for the lapses during a run.
func (l *lapses) listen(run *serverRun, missed func(context.Context, string)) {
	reasons := make(chan string, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[*serverRun]chan string{}
	}
	l.runs[run] = reasons
	go func() {
		defer l.leave(run)
		for {
			select {
			case reason := <-reasons:
				missed(run.alive, reason)
			case <-run.alive.Done():
				return
			}
		}
	}()
}

func (l *lapses) leave(run *serverRun) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, run)
}
