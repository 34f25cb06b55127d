// Package check compares a history with oslorpc's guarantees. The same history always gives the
// same violations.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// These are the guarantees, by their names in violations.
const (
	AtMostOnce   = "at most once"
	ExactlyOnce  = "ok means exactly once"
	NeverRan     = "safe to retry means never"
	CastRan      = "an accepted cast runs"
	Report       = "reports are right"
	Whole        = "streams are whole"
	Deadline     = "deadlines hold"
	Availability = "only what a fault explains fails"
	Leaks        = "nothing leaks"
	Processes    = "processes end as they should"
)

// Limits are the checker's tolerances, since machines are not infinitely fast.
type Limits struct {
	// Slack is how long after its deadline an operation may end.
	Slack time.Duration
	// Visible is how long a server may be unknown to others after it is ready, or reachable again.
	Visible time.Duration
	// Noticed is how long peers may not know that a process was killed.
	Noticed time.Duration
	// Avoided is how long messages for any server may still be sent to a silent server.
	Avoided time.Duration
	// Queued is how long an accepted message may wait in a queue.
	Queued time.Duration
}

// Default has limits for a busy machine.
var Default = Limits{Slack: 2 * time.Second, Visible: 3 * time.Second, Noticed: time.Second, Avoided: 6 * time.Second, Queued: 15 * time.Second}

// Check returns the violations in a history, the most serious guarantees first.
func Check(h *history.History, limits Limits) []history.Violation {
	c := newChecker(h, limits)
	for _, id := range c.ids {
		c.checkOnce(id, c.runs[id])
	}
	for _, op := range h.Operations {
		c.checkOutcome(op)
		c.checkReport(op)
		c.checkStream(op)
		c.checkDeadline(op)
		c.checkAvailability(op)
	}
	c.checkStreamEnds()
	c.checkProcesses()
	for _, v := range h.Violations {
		c.found = append(c.found, *v)
	}
	return c.found
}

// checker is an indexed history.
type checker struct {
	*history.History
	Limits

	runs     map[string][]*history.Execution // by message
	ids      []string                        // the keys of runs, in order
	streams  map[string][]*history.Stream    // by message
	process  map[string][]string             // of each instance; at a static address there may be several, one after the other
	impaired []impairment
	found    []history.Violation
}

// impairment is a period in which a process, or all processes if it is empty, was not healthy.
type impairment struct {
	process string
	what    string
	from    time.Time
	until   time.Time // the zero time is never
}

func newChecker(h *history.History, limits Limits) *checker {
	c := &checker{
		History: h, Limits: limits,
		runs: map[string][]*history.Execution{}, streams: map[string][]*history.Stream{}, process: map[string][]string{},
	}
	for _, e := range h.Executions {
		if c.runs[e.ID] == nil {
			c.ids = append(c.ids, e.ID)
		}
		c.runs[e.ID] = append(c.runs[e.ID], e)
	}
	for _, s := range h.Streams {
		c.streams[s.ID] = append(c.streams[s.ID], s)
	}
	for _, u := range h.Ups {
		c.process[u.Instance] = append(c.process[u.Instance], u.Process)
	}
	c.indexEvents()
	return c
}

// indexEvents converts events to impairments.
func (c *checker) indexEvents() {
	events := slices.SortedStableFunc(slices.Values(c.Events), func(a, b *history.Event) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	ends := map[string]string{history.Thawed: history.Frozen, history.Mended: history.Cut}
	for _, e := range events {
		switch e.What {
		case history.Killed, history.Stopped, history.Forced, history.Frozen, history.Cut:
			c.impaired = append(c.impaired, impairment{process: e.Process, what: e.What, from: e.At})
		case history.Thawed, history.Mended:
			for i := range c.impaired {
				if was := &c.impaired[i]; was.process == e.Process && was.what == ends[e.What] && was.until.IsZero() {
					was.until = e.At
				}
			}
		}
	}
}

// overlaps reports whether the process was impaired in one of these ways between two times. An
// empty process means any process.
func (c *checker) overlaps(process string, from, until time.Time, after time.Duration, what ...string) bool {
	return slices.ContainsFunc(c.impaired, func(i impairment) bool {
		return (process == "" || i.process == "" || i.process == process) && slices.Contains(what, i.what) &&
			!until.Before(i.from) && (i.until.IsZero() || !from.After(i.until.Add(after)))
	})
}

func (c *checker) violatedf(promise string, ids []string, format string, args ...any) {
	c.found = append(c.found, history.Violation{Promise: promise, Text: fmt.Sprintf(format, args...), IDs: ids})
}

// remote reports whether an operation failed because its method was told to fail.
func remote(op *history.Operation, kind string) bool { return op.Fails && kind == "Remote" }

// formOf returns the form of a message, which is the first part of its id.
func formOf(id string) history.Form {
	form, _, _ := strings.Cut(id, "/")
	return history.Form(form)
}

// said describes the outcome of an operation, for violations.
func said(op *history.Operation) string {
	switch {
	case op.Hung:
		return "has not ended"
	case op.OK:
		return "is ok"
	default:
		return fmt.Sprintf("failed as %s (safe to retry: %t): %s", op.Kind, op.Safe, op.Error)
	}
}
