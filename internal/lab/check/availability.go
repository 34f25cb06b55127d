package check

import (
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// checkAvailability checks that an operation fails only if a fault explains it.
func (c *checker) checkAvailability(op *history.Operation) {
	if op.OK || op.Hung || op.Canceled || remote(op, op.Kind) ||
		c.lostWithServer(op) || c.serverAway(op) || c.notBegunAgain(op) || c.excused(op, op.Kind) {
		return
	}
	c.violatedf(Availability, []string{op.ID}, "for %q, from %s to %s, it %s", op.To, clock(op.Begin), clock(op.End), said(op))
}

// lostWithServer reports whether the operation may have been in progress at a server that was
// killed, stopped by force, frozen or cut off.
func (c *checker) lostWithServer(op *history.Operation) bool {
	return slices.ContainsFunc(c.impaired, func(i impairment) bool {
		if op.End.Before(i.from) {
			return false
		}
		switch i.what {
		case history.Killed:
			return op.Kind == "OutcomeUnknown" && !op.Begin.After(i.from.Add(c.Noticed))
		case history.Forced:
			return op.Kind == "OutcomeUnknown" && !op.Begin.After(i.from.Add(c.Queued))
		case history.Frozen, history.Cut:
			return slices.Contains(silent, op.Kind) && c.begunInSilence(op, i)
		default:
			return false
		}
	})
}

// silent are the kinds of errors of operations in progress at a silent server.
var silent = []string{"OutcomeUnknown", "MonitorTimeout", "Timeout"}

// begunInSilence reports whether an operation may have been sent to a server while the server was
// silent. Operations for any server avoid it after a while.
func (c *checker) begunInSilence(op *history.Operation, i impairment) bool {
	if op.To == "" && !op.Form.All() && op.Begin.After(i.from.Add(c.Avoided)) {
		return false
	}
	return i.until.IsZero() || !op.Begin.After(i.until.Add(c.Noticed))
}

// notBegunAgain reports whether a client stream was refused while servers came and went: such a
// stream is not sent to another server.
func (c *checker) notBegunAgain(op *history.Operation) bool {
	return (op.Form == history.TypedImport || op.Form == history.TypedSync) && op.Kind == "Refused" && op.Safe &&
		c.overlaps("", op.Begin, op.End, 0, history.Stopped, history.Forced, history.Killed)
}

// serverAway reports whether an operation is for a named server that was not running and healthy
// all the time.
func (c *checker) serverAway(op *history.Operation) bool {
	if op.To == "" {
		return false
	}
	away := false
	for _, u := range c.Ups {
		if u.Server != op.To || u.Topic != op.Topic {
			continue
		}
		if !u.At.After(op.Begin) && !c.overlaps(u.Process, op.Begin, op.End, c.Noticed, bad...) {
			return false
		}
		away = away || c.overlaps(u.Process, op.Begin, op.End, c.Noticed, history.Killed, history.Frozen, history.Cut, history.Forced)
	}
	return away
}

// excused reports whether the scenario declared that operations of this form may fail with this
// kind at that time.
func (c *checker) excused(op *history.Operation, kind string) bool {
	return slices.ContainsFunc(c.Excuses, func(e *history.Excuse) bool {
		return (len(e.Forms) == 0 || slices.Contains(e.Forms, op.Form)) &&
			(len(e.Kinds) == 0 && kind != "missing" || slices.Contains(e.Kinds, kind)) &&
			overlap(op.Begin, op.End, e.From, e.Until)
	})
}

func overlap(from, until, otherFrom, otherUntil time.Time) bool {
	return !until.Before(otherFrom) && (otherUntil.IsZero() || !from.After(otherUntil))
}

// checkProcesses checks that each process ended as it should, and leaked nothing.
func (c *checker) checkProcesses() {
	for _, e := range c.Exits {
		if e.Goroutines > 0 {
			c.violatedf(Leaks, nil, "%s has %d goroutines after Close:\n%s", e.Process, e.Goroutines, e.Stacks)
		}
		if len(e.Descriptors) > 0 {
			c.violatedf(Leaks, nil, "%s has open descriptors after Close: %v", e.Process, e.Descriptors)
		}
		if e.Error != "" {
			c.violatedf(Processes, nil, "%s: %s", e.Process, e.Error)
		}
	}
	for _, e := range c.Events {
		if e.What != history.Ended || c.wasKilled(e.Process) {
			continue
		}
		if e.Detail != "" {
			c.violatedf(Processes, nil, "%s ended with %s", e.Process, e.Detail)
		} else if !slices.ContainsFunc(c.Exits, func(x *history.Exit) bool { return x.Process == e.Process }) {
			c.violatedf(Processes, nil, "%s ended without an exit record", e.Process)
		}
	}
}

func (c *checker) wasKilled(process string) bool {
	return slices.ContainsFunc(c.impaired, func(i impairment) bool { return i.process == process && i.what == history.Killed })
}
