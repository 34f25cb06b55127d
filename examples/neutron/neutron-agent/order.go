package main

// order decides which of several answers about the same object is used if they arrive in any order:
// the answer to the latest request. An unsolicited message is treated as a request with an
// immediate answer. With this, an agent need not hold a lock during a request. It is not safe for
// concurrent use.
type order struct {
	asked   int // questions so far
	open    int // questions without an answer
	settled map[string]int
}

func newOrder() *order { return &order{settled: map[string]int{}} }

// ask returns the number of a request. Call answered when its answer has been handled.
func (o *order) ask() int {
	o.asked++
	o.open++
	return o.asked
}

// settle reports whether an answer is used. It is not if an answer to a later request has already
// been used.
func (o *order) settle(id string, asked int) bool {
	if o.settled[id] > asked {
		return false
	}
	o.settled[id] = asked
	return true
}

// answered ends a request. When no request is open, it clears the record of used answers, which
// only open requests need.
func (o *order) answered() {
	if o.open--; o.open == 0 {
		clear(o.settled)
	}
}

// told does ask, settle and answered in one step, for an unsolicited message.
func (o *order) told(id string) {
	o.settle(id, o.ask())
	o.answered()
}
