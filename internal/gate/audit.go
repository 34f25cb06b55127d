package gate

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/policy"
)

// The verdicts in the audit log.
const (
	allow     = "allowed"
	deny      = "denied"
	wouldDeny = "would deny"
)

const (
	// burst is how many denials of one caller are logged at once, and refill how many more each
	// second. The others are counted.
	burst, refill = 50, 5
	// maxTracked bounds how many callers have a share of their own. The others share one.
	maxTracked = 1 << 10
	// maxText bounds a text that a caller chose, in bytes.
	maxText = 256
)

// audit writes the audit log. Denials are warnings, what is allowed is for debugging.
type audit struct {
	log *slog.Logger

	mu     sync.Mutex
	shares map[string]*share
	rest   share // of the callers that have no share of their own
}

// share is how many denials of a caller may be logged.
type share struct {
	used     float64 // of the burst
	at       time.Time
	unlogged int64
}

func newAudit(log *slog.Logger) *audit {
	return &audit{log: log.WithGroup("audit"), shares: map[string]*share{}}
}

// allowed logs that a rule allowed something.
func (a *audit) allowed(ctx context.Context, from *Caller, q *policy.Query, p *policy.Policy, verdict int) {
	if a.log.Enabled(ctx, slog.LevelDebug) {
		a.write(ctx, slog.LevelDebug, from, q, allow, p.Rule(verdict), 0)
	}
}

// denied logs that no rule allows something, unless too much was denied to the caller lately.
func (a *audit) denied(ctx context.Context, verdict string, from *Caller, q *policy.Query) {
	if !a.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	if unlogged, ok := a.take(keyOf(from)); ok {
		a.write(ctx, slog.LevelWarn, from, q, verdict, "", unlogged)
	}
}

// write writes a line. All lines have the same attributes.
func (a *audit) write(ctx context.Context, level slog.Level, from *Caller, q *policy.Query, verdict, rule string, unlogged int64) {
	a.log.LogAttrs(ctx, level, "access "+verdict,
		slog.String("verdict", verdict), slog.String("rule", rule),
		slog.String("identity", brief(from.Peer.Identity.String())), slog.String("proof", string(from.Peer.Identity.Proof)),
		slog.String("address", from.Peer.Addr), slog.String("claimed", brief(from.Claimed)),
		slog.String("exchange", brief(q.Exchange)), slog.String("topic", brief(q.Topic)), slog.String("namespace", brief(q.Namespace)),
		slog.String("server", brief(q.Server)), slog.String("method", brief(q.Method)), slog.String("delivery", string(q.Delivery)),
		slog.String("service", brief(q.Service)), slog.Int64("unlogged", unlogged))
}

// brief returns the beginning of a text that a caller chose.
func brief(text string) string {
	if text == policy.Unknown {
		return "(unknown)"
	}
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}

// keyOf returns what callers are told apart by: what they proved, or else where they are.
func keyOf(from *Caller) string {
	if key := from.Peer.Identity.Key(); key != "" {
		return key
	}
	if host, _, err := net.SplitHostPort(from.Peer.Addr); err == nil {
		return host
	}
	return from.Peer.Addr
}

// take takes a line out of the share of a caller, and returns how many were left out before it. It
// returns false if the share is used up.
func (a *audit) take(key string) (unlogged int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.shares[key]
	switch {
	case s != nil:
	case len(a.shares) < maxTracked:
		s = &share{}
		a.shares[strings.Clone(key)] = s
	default:
		s = &a.rest
	}
	s.refill(time.Now())
	if s.used+1 > burst {
		s.unlogged++
		return 0, false
	}
	s.used++
	unlogged, s.unlogged = s.unlogged, 0
	return unlogged, true
}

func (s *share) refill(now time.Time) {
	s.used = max(0, s.used-now.Sub(s.at).Seconds()*refill)
	s.at = now
}

// leftOut is how many denials of a caller the log leaves out.
type leftOut struct {
	caller string
	n      int64
}

// flush logs how many denials were left out, once their callers are quiet, and forgets the callers.
func (a *audit) flush(ctx context.Context) {
	for _, l := range a.quiet(time.Now()) {
		a.log.LogAttrs(ctx, slog.LevelWarn, "access denials left out",
			slog.String("caller", brief(l.caller)), slog.Int64("unlogged", l.n))
	}
}

// quiet forgets the callers that are quiet, and returns what the log leaves out of them.
func (a *audit) quiet(now time.Time) (list []leftOut) {
	a.mu.Lock()
	defer a.mu.Unlock()
	forget := func(name string, s *share) bool {
		s.refill(now)
		if s.used > 0 {
			return false
		}
		if s.unlogged > 0 {
			list = append(list, leftOut{name, s.unlogged})
			s.unlogged = 0
		}
		return true
	}
	maps.DeleteFunc(a.shares, forget)
	forget("(others)", &a.rest)
	return list
}
