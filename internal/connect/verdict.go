package connect

import (
	"context"
	"crypto/x509"
	"sync"
	"time"
)

const (
	// verdictTime is how long a verdict is cached. A changed intention takes effect after that.
	verdictTime = time.Second
	// staleTime is how long a cached verdict is used while the agent does not answer.
	staleTime = time.Minute
	// askTime bounds a request to the agent.
	askTime = 2 * time.Second
	// maxVerdicts bounds the cached verdicts. Few services send to one process.
	maxVerdicts = 4096
)

// question is a question to the agent: may a service send to another one?
type question struct {
	uri     string // the SPIFFE ID of the sender
	service string // the service of the topic
}

// verdict is the agent's answer to a question.
type verdict struct {
	allowed bool
	reason  string
	// at is the time of the answer, zero if there is none.
	at time.Time
	// asked is when the last request to the agent ended, even if it failed.
	asked time.Time
	err   error // the error of the last request; nil if it was answered
	// asking is closed when the running request ends. It is nil if there is none.
	asking chan struct{}
}

// verdicts caches the answers of the agent. It is safe for concurrent use.
type verdicts struct {
	agent  Agent
	asking sync.WaitGroup

	mu    sync.Mutex
	known map[question]*verdict
}

func newVerdicts(a Agent) *verdicts { return &verdicts{agent: a, known: map[question]*verdict{}} }

// wait returns when no request is running.
func (v *verdicts) wait() { v.asking.Wait() }

// of returns the verdict on a question about the sender with certificate c. It asks the agent if
// the last request is more than verdictTime ago. While the agent does not answer, it returns a
// cached verdict up to staleTime old, and an error if there is none.
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
		if last.err != nil && now.Sub(last.at) < staleTime { // do not wait: the agent may hang
			return last, nil
		}
		select {
		case <-asking:
		case <-ctx.Done():
			return verdict{}, context.Cause(ctx)
		}
	}
}

// ask sends a question to the agent.
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

// forget makes room if the cache is full. It removes stale verdicts, and then any others until the
// cache is half full. The lock is held.
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
