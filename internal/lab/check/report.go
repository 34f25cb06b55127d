package check

import (
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// bad are the impairments in which a process may be unable to accept a message.
var bad = []string{history.Killed, history.Stopped, history.Forced, history.Frozen, history.Cut}

// checkReport checks that the report of a fanout, or the replies of a gather, are right about each
// instance.
func (c *checker) checkReport(op *history.Operation) {
	if !op.Form.All() || !op.OK {
		return
	}
	ran := map[string]bool{}
	for _, e := range c.runs[op.ID] {
		ran[e.Instance] = true
	}
	named := map[string]bool{}
	for _, o := range op.Report {
		named[o.Instance] = true
		c.checkVerdict(op, o, ran[o.Instance])
	}
	for instance := range ran {
		if !named[instance] {
			c.violatedf(Report, []string{op.ID}, "it ran at %s, which the report does not name", instance)
		}
	}
	c.checkMissing(op, named)
}

func (c *checker) checkVerdict(op *history.Operation, o history.Outcome, ran bool) {
	ids := []string{op.ID}
	switch o.Verdict {
	case history.Accepted:
		if !ran && !slices.ContainsFunc(c.process[o.Instance], func(p string) bool { return c.died(p, op) }) {
			c.violatedf(Report, ids, "%s accepted it, and it did not run there", where(o))
		}
		return
	case history.Replied:
		if !ran {
			c.violatedf(Report, ids, "%s replied, and it did not run there", where(o))
		} else if o.By != o.Instance {
			c.violatedf(Report, ids, "the reply of %s is from %s", where(o), o.By)
		}
		return
	case history.Skipped:
		if ran {
			c.violatedf(Report, ids, "the report says that %s was skipped, and it ran there", where(o))
		}
	case history.Failed:
		if ran && (o.Safe || slices.Contains(neverRan, o.Kind)) {
			c.violatedf(NeverRan, ids, "%s failed as %s (safe to retry: %t), and it ran there: %s", where(o), o.Kind, o.Safe, o.Error)
		}
	}
	if !c.explains(op, o) {
		c.violatedf(Availability, ids, "%s was healthy and is %s as %s: %s", where(o), o.Verdict, o.Kind, o.Error)
	}
}

// explains reports whether anything explains that an instance did not accept a message for all
// servers.
func (c *checker) explains(op *history.Operation, o history.Outcome) bool {
	if op.Canceled || remote(op, o.Kind) {
		return true
	}
	processes, known := c.process[o.Instance]
	return !known || c.excused(op, o.Kind) || slices.ContainsFunc(processes, func(p string) bool {
		return c.overlaps(p, op.Begin, op.End, c.Visible, bad...)
	})
}

// checkMissing checks that each healthy instance is in the report, unless the report says that it
// may be incomplete.
func (c *checker) checkMissing(op *history.Operation, named map[string]bool) {
	if op.Uncertain || c.excused(op, "missing") {
		return
	}
	for _, u := range c.Ups {
		if u.Topic == op.Topic && !named[u.Instance] && c.healthy(u, op.Begin, op.End) {
			c.violatedf(Report, []string{op.ID}, "%s %s was there since %s and is not in the report of %s, which names %d", u.Server, u.Instance,
				clock(u.At), clock(op.Begin), len(named))
		}
	}
}

// healthy reports whether all clients could see an instance between two times.
func (c *checker) healthy(u *history.Up, from, until time.Time) bool {
	return from.After(u.At.Add(c.Visible)) && !c.overlaps(u.Process, from, until, c.Visible, bad...)
}

func where(o history.Outcome) string { return o.Server + " " + o.Instance }

func clock(t time.Time) string { return t.Format("15:04:05.000") }
