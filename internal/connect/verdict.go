package connect

import (
	"context"
	"crypto/x509"
	"sync"
	"time"
)

const (
	// verdictTime is how long a verdict counts before the agent is asked again. A changed intention
	// is in force after that.
	verdictTime = time.Second
	// staleTime is how long the last verdict counts while the agent does not answer.
	staleTime = time.Minute
	// askTime bounds a question to the agent.
	askTime = 2 * time.Second
	// maxVerdicts bounds how many verdicts are kept. Few services send to one process.
	maxVerdicts = 4096
)

// question is what the agent is asked: whether a service may send to another one.
type question struct {
	uri     string // the SPIFFE ID of the sender
	service string // of the topic
}

// verdict is what the agent said about a question.
type verdict struct {
	allowed bool
	reason  string
	// at is when it was said; zero for never.
	at time.Time
	// asked is when the last question ended, whether the agent answered or not.
	asked time.Time
	err   error // of the last question; nil if it was answered
	// asking is closed when the question that is on its way has ended; nil if none is.
	asking chan struct{}
}

// verdicts has the last verdicts of the agent. It is safe for concurrent use.
type verdicts struct {
	agent  Agent
	asking sync.WaitGroup

	mu    sync.Mutex
	known map[question]*verdict
}

func newVerdicts(a Agent) *verdicts { return &verdicts{agent: a, known: map[question]*verdict{}} }

// wait returns when no question is on its way.
func (v *verdicts) wait() { v.asking.Wait() }

// of returns the verdict about a question. An error means that there is none: the agent does not
// answer, and did not for a while.
func (v *verdicts) of(ctx context.Context, q question, c *x509.Certificate) (verdict, error) {
	for {
		v.mu.Lock()
		is := v.known[q]
		if is == nil {
			v.forget()
			is = &verdict{}
			v.known[q] = is
		}
		now := time.Now()
		if now.Sub(is.asked) < verdictTime {
			known := *is
			v.mu.Unlock()
			if known.err != nil && now.Sub(known.at) >= staleTime {
				return verdict{}, known.err
			}
			return known, nil
		}
		if is.asking == nil {
			is.asking = make(chan struct{})
			v.asking.Go(func() { v.ask(q, c, is) }) //nolint:contextcheck // Others wait for the answer, too.
		}
		asking, last := is.asking, *is
		v.mu.Unlock()
		if last.err != nil && now.Sub(last.at) < staleTime { // the agent may hang, and messages need not
			return last, nil
		}
		select {
		case <-asking:
		case <-ctx.Done():
			return verdict{}, context.Cause(ctx)
		}
	}
}

// ask asks the agent.
func (v *verdicts) ask(q question, c *x509.Certificate, is *verdict) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	allowed, reason, err := v.agent.Authorize(ctx, q.service, q.uri, serial(c))
	v.mu.Lock()
	defer v.mu.Unlock()
	close(is.asking)
	is.asking, is.asked, is.err = nil, time.Now(), err
	if err == nil {
		is.allowed, is.reason, is.at = allowed, reason, is.asked
	}
}

// forget makes room for verdicts: it drops those that do not count any more, and then any, until
// there is room for a while. The lock is held.
func (v *verdicts) forget() {
	if len(v.known) < maxVerdicts {
		return
	}
	for q, is := range v.known {
		if is.asking == nil && time.Since(is.asked) >= staleTime {
			delete(v.known, q)
		}
	}
	for q, is := range v.known {
		if len(v.known) <= maxVerdicts/2 {
			return
		}
		if is.asking == nil {
			delete(v.known, q)
		}
	}
}
