package check

import (
	"slices"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// checkOnce checks that a message ran at most once, and a message for all servers at most once at
// each instance.
func (c *checker) checkOnce(id string, runs []*history.Execution) {
	times := map[string]int{}
	where := make([]string, 0, len(runs))
	for _, e := range runs {
		at := ""
		if formOf(id).All() {
			at = e.Instance
		}
		times[at]++
		where = append(where, e.Server+" "+e.Instance+" at "+e.At.Format("15:04:05.000"))
	}
	for _, n := range times {
		if n > 1 {
			c.violatedf(AtMostOnce, []string{id}, "it ran %d times: %v", n, where)
		}
	}
}

// neverRan has the kinds of errors for which docs/delivery.md says that the message did not run.
var neverRan = []string{
	"InvalidTarget", "BadArguments", "VersionCapExceeded", "UnsupportedVersion", "NoSuchMethod", "AccessDenied", "NoInstance", "Unreachable",
	"Refused",
}

// checkOutcome checks that the outcome of an operation is true.
func (c *checker) checkOutcome(op *history.Operation) {
	switch {
	case op.Hung:
	case !op.OK:
		c.checkFailure(op, c.runs[op.ID])
	case op.Form.All(): // see checkReport
	case op.Form.Casts():
		if len(c.runs[op.ID]) == 0 && !c.diedWith(op, op.To) {
			c.violatedf(CastRan, []string{op.ID}, "it was accepted between %s and %s, and it did not run", clock(op.Begin), clock(op.End))
		}
	default:
		c.checkAnswer(op, c.runs[op.ID])
	}
}

func (c *checker) checkFailure(op *history.Operation, runs []*history.Execution) {
	if len(runs) > 0 && (op.Safe || slices.Contains(neverRan, op.Kind)) {
		c.violatedf(NeverRan, []string{op.ID}, "it %s, and it ran at %s", said(op), runs[0].Server)
	}
	if len(runs) == 0 && op.Kind == "Remote" {
		c.violatedf(ExactlyOnce, []string{op.ID}, "it %s, and it did not run", said(op))
	}
}

func (c *checker) checkAnswer(op *history.Operation, runs []*history.Execution) {
	switch {
	case op.Fails:
		c.violatedf(ExactlyOnce, []string{op.ID}, "its method failed, and it is ok")
	case len(runs) == 0:
		c.violatedf(ExactlyOnce, []string{op.ID}, "it is ok, and it did not run")
	case op.Instance != "" && runs[0].Instance != op.Instance:
		c.violatedf(ExactlyOnce, []string{op.ID}, "the answer says that it is from %s, and it ran at %s", op.Instance, runs[0].Instance)
	}
}

// diedWith reports whether a message that a process of a server, or any process, accepted may have
// been lost with the process.
func (c *checker) diedWith(op *history.Operation, server string) bool {
	return slices.ContainsFunc(c.Ups, func(u *history.Up) bool {
		return (server == "" || u.Server == server) && u.Topic == op.Topic && c.died(u.Process, op)
	})
}

// died reports whether a message that a process accepted may have been lost with it: the process
// was killed soon after, or was frozen soon after and never continued.
func (c *checker) died(process string, op *history.Operation) bool {
	return slices.ContainsFunc(c.impaired, func(i impairment) bool {
		if i.process != process || op.End.Add(c.Queued).Before(i.from) {
			return false
		}
		switch i.what {
		case history.Killed, history.Forced:
			return !op.Begin.After(i.from)
		case history.Frozen:
			return c.overlaps(process, i.from, i.until, 0, history.Killed) || i.until.IsZero()
		default:
			return false
		}
	})
}
