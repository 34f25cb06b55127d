package fleet

import (
	"log/slog"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// gatherTime is how long outages waits for further topics before it writes a line. An outage of a
// registry affects all topics, one after the other.
const gatherTime = 2 * time.Second

// outages logs when topics cannot be read, and when they can be read again. It writes one line for
// all topics that change at about the same time. It is safe for concurrent use. Its lock comes
// after all others.
type outages struct {
	log *slog.Logger

	mu sync.Mutex
	// failed and recovered are the topics whose changes were not logged yet.
	failed    map[registry.Topic]outage
	recovered map[registry.Topic]bool
	timer     *time.Timer // nil while there is nothing to log
	closed    bool
}

// outage is why a topic cannot be read, and whether its instances are known from an earlier
// reading.
type outage struct {
	err   error
	known bool
}

func newOutages(log *slog.Logger) *outages {
	return &outages{log: log, failed: map[registry.Topic]outage{}, recovered: map[registry.Topic]bool{}}
}

// fail records that a topic cannot be read.
func (o *outages) fail(t registry.Topic, f outage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.recovered[t] {
		delete(o.recovered, t) // according to the log, the topic still cannot be read
		return
	}
	o.failed[t] = f
	o.gather()
}

// recover records that a topic can be read again.
func (o *outages) recover(t registry.Topic) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, unlogged := o.failed[t]; unlogged {
		delete(o.failed, t)
		return
	}
	o.recovered[t] = true
	o.gather()
}

func (o *outages) gather() {
	if o.timer == nil && !o.closed {
		o.timer = time.AfterFunc(gatherTime, o.tell)
	}
}

// tell logs the recorded changes.
func (o *outages) tell() {
	failed, recovered := o.take()
	var unknown int
	var one registry.Topic
	var why error
	for t, f := range failed {
		one, why = t, f.err
		if !f.known {
			unknown++
		}
	}
	switch {
	case len(failed) == 0:
	case unknown == 0:
		o.log.Warn("discovery cannot be read; the known servers stay in use", "topics", len(failed), "topic", one.Name, "error", why)
	default:
		o.log.Warn("discovery cannot be read, and nothing is known yet about some topics",
			"topics", len(failed), "unknown", unknown, "topic", one.Name, "error", why)
	}
	if len(recovered) > 0 {
		o.log.Info("discovery can be read again", "topics", len(recovered))
	}
}

// take returns and clears the recorded changes. The caller logs them without the lock, so that a
// log that hangs does not block updates of topics.
func (o *outages) take() (failed map[registry.Topic]outage, recovered map[registry.Topic]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	failed, recovered = o.failed, o.recovered
	o.failed, o.recovered = map[registry.Topic]outage{}, map[registry.Topic]bool{}
	o.timer = nil
	return failed, recovered
}

func (o *outages) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.timer != nil {
		o.timer.Stop()
	}
}
