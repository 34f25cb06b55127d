package main

// order says which answer counts, of several about the same thing that come in any order: the one
// to what was asked last. What is told counts as asked and answered at once. So an agent need not
// hold a lock while it asks. It is not safe for concurrent use.
type order struct {
	asked   int // questions so far
	open    int // questions without an answer
	settled map[string]int
}

func newOrder() *order { return &order{settled: map[string]int{}} }

// ask returns the number of a question. Call answered when its answer is taken in.
func (o *order) ask() int {
	o.asked++
	o.open++
	return o.asked
}

// settle reports whether an answer about something counts: whether nothing counts that was asked
// later.
func (o *order) settle(id string, asked int) bool {
	if o.settled[id] > asked {
		return false
	}
	o.settled[id] = asked
	return true
}

// answered ends a question. What was settled matters only to questions that are open.
func (o *order) answered() {
	if o.open--; o.open == 0 {
		clear(o.settled)
	}
}

// told is ask, settle and answered, for what came by itself.
func (o *order) told(id string) {
	o.settle(id, o.ask())
	o.answered()
}
