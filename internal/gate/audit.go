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

// These are the verdicts in the audit log.
const (
	allow     = "allowed"
	deny      = "denied"
	wouldDeny = "would deny"
)

const (
	// burst is the maximum number of denials of one caller that are logged at once. Refill more may
	// be logged each second. All others are only counted.
	burst, refill = 50, 5
	// maxTracked bounds the callers with a separate quota. All others share one.
	maxTracked = 1 << 10
	// maxText bounds texts that callers choose, in bytes.
	maxText = 256
)

// Audit writes the audit log. Denials are warnings. Allowed messages are logged at the level Debug.
// It is safe for concurrent use. A process has one Audit for its policy, and one for Consul's
// intentions.
type Audit struct {
	log *slog.Logger

	mu     sync.Mutex
	shares map[string]*share
	rest   share // shared by the callers that have no share of their own
}

// share is a caller's quota of log lines for denials.
type share struct {
	used     float64 // how much of the burst is used; it falls by refill each second
	at       time.Time
	unlogged int64
}

// NewAudit returns an audit log in the group "audit" of a logger.
func NewAudit(log *slog.Logger) *Audit {
	return &Audit{log: log.WithGroup("audit"), shares: map[string]*share{}}
}

// Allowed logs that a message is allowed by a rule of the policy, or for another reason.
func (a *Audit) Allowed(ctx context.Context, from *Caller, q *policy.Query, rule, reason string) {
	if a.log.Enabled(ctx, slog.LevelDebug) {
		a.write(ctx, slog.LevelDebug, from, q, line{verdict: allow, rule: rule, reason: reason})
	}
}

// Denied logs that a message is denied, or in dry run that it would be, unless the caller's quota
// is used up. Reason is empty if it is denied because no rule of the policy allows it.
func (a *Audit) Denied(ctx context.Context, dryRun bool, from *Caller, q *policy.Query, reason string) {
	if !a.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	l := line{verdict: deny, reason: reason}
	if dryRun {
		l.verdict = wouldDeny
	}
	var ok bool
	if l.unlogged, ok = a.take(keyOf(from)); ok {
		a.write(ctx, slog.LevelWarn, from, q, l)
	}
}

// line is the part of a log line that does not describe the caller or the message.
type line struct {
	verdict, rule, reason string
	unlogged              int64
}

// write writes a line. All lines have the same attributes.
func (a *Audit) write(ctx context.Context, level slog.Level, from *Caller, q *policy.Query, l line) {
	a.log.LogAttrs(ctx, level, "access "+l.verdict,
		slog.String("verdict", l.verdict), slog.String("rule", l.rule), slog.String("reason", brief(l.reason)),
		slog.String("identity", brief(from.Peer.Identity.String())), slog.String("proof", string(from.Peer.Identity.Proof)),
		slog.String("address", from.Peer.Addr), slog.String("claimed", brief(from.Claimed)),
		slog.String("exchange", brief(q.Exchange)), slog.String("topic", brief(q.Topic)), slog.String("namespace", brief(q.Namespace)),
		slog.String("server", brief(q.Server)), slog.String("method", brief(q.Method)), slog.String("delivery", string(q.Delivery)),
		slog.String("service", brief(q.Service)), slog.Int64("unlogged", l.unlogged))
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

// keyOf returns the key of a caller: the identity that it proved, or else its address.
func keyOf(from *Caller) string {
	if key := from.Peer.Identity.Key(); key != "" {
		return key
	}
	if host, _, err := net.SplitHostPort(from.Peer.Addr); err == nil {
		return host
	}
	return from.Peer.Addr
}

// take uses one line of a caller's quota, and returns how many denials were omitted since the last
// line. Ok is false if the quota is used up; then the denial counts as omitted.
func (a *Audit) take(key string) (unlogged int64, ok bool) {
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

// leftOut is how many denials of a caller were omitted from the log.
type leftOut struct {
	caller string
	n      int64
}

// Follow regularly logs how many denials were omitted, until ctx ends.
func (a *Audit) Follow(ctx context.Context) {
	defer a.flush(ctx)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.flush(ctx)
		}
	}
}

// flush logs how many denials were omitted for callers that have been quiet long enough to have
// their full quota again, and forgets these callers.
func (a *Audit) flush(ctx context.Context) {
	for _, l := range a.quiet(time.Now()) {
		a.log.LogAttrs(ctx, slog.LevelWarn, "access denials left out",
			slog.String("caller", brief(l.caller)), slog.Int64("unlogged", l.n))
	}
}

// quiet forgets the callers that have their full quota again, and returns how many of their denials
// were omitted.
func (a *Audit) quiet(now time.Time) (list []leftOut) {
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
