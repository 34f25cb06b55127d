package check

import "github.com/oslorpc/oslorpc/internal/lab/history"

// checkStream checks that the items of a stream come in order, and that all of them come if it ends
// without an error.
func (c *checker) checkStream(op *history.Operation) {
	if !op.Form.Streams() {
		return
	}
	ids := []string{op.ID}
	if op.Gap != "" {
		c.violatedf(Whole, ids, "its items are out of order: %s", op.Gap)
	}
	if !op.OK {
		return
	}
	if op.Items != op.Asked {
		c.violatedf(Whole, ids, "it is ok with %d items of %d", op.Items, op.Asked)
	}
	ends := c.streams[op.ID]
	if len(ends) == 0 {
		c.violatedf(Whole, ids, "it is ok, and no server recorded its end")
	}
	for _, s := range ends {
		if !s.Whole || s.Items != op.Asked {
			c.violatedf(Whole, ids, "it is ok with %d items, and at the server it had %d, whole: %t %s", op.Items, s.Items, s.Whole, s.Error)
		}
	}
}

// checkStreamEnds checks that a stream is complete if its server saw it end without an error,
// whatever the client's outcome.
func (c *checker) checkStreamEnds() {
	for _, s := range c.Streams {
		if s.Whole && s.Items != s.Asked {
			c.violatedf(Whole, []string{s.ID}, "the server saw it end without an error after %d items of %d", s.Items, s.Asked)
		}
	}
}

// checkDeadline checks that no operation lasts beyond its deadline.
func (c *checker) checkDeadline(op *history.Operation) {
	switch late := op.End.Sub(op.Deadline); {
	case op.Hung:
		c.violatedf(Deadline, []string{op.ID}, "its deadline was %s, and it had not ended at %s", clock(op.Deadline), clock(op.End))
	case late > c.Slack:
		c.violatedf(Deadline, []string{op.ID}, "it %s, %v after its deadline", said(op), late)
	}
}
