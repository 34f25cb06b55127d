package main

// order says which of several answers about the same thing counts, when they come in any order:
// the answer to the last question. An unasked message counts as asked and answered at once. So an
// agent need not hold a lock while it asks. It is not safe for concurrent use.
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

// settle reports whether an answer counts: no answer to a later question has counted.
func (o *order) settle(id string, asked int) bool {
	if o.settled[id] > asked {
		return false
	}
	o.settled[id] = asked
	return true
}

// answered ends a question. Settled answers matter only to open questions.
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
