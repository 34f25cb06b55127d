package main

import "testing"

func TestOrder(t *testing.T) {
	o := newOrder()
	first, second := o.ask(), o.ask()
	if !o.settle("a", second) || o.settle("a", first) {
		t.Error("the answer to what was asked first counts, though that to what was asked last came before")
	}
	if !o.settle("b", first) || !o.settle("b", second) {
		t.Error("answers that come in order do not count both")
	}
	o.told("c")
	if o.settle("c", second) {
		t.Error("an answer counts though something else was told after it was asked for")
	}
	o.answered()
	o.answered()
	if len(o.settled) != 0 {
		t.Errorf("without open questions, it remembers %v", o.settled)
	}
	o.told("c")
	if len(o.settled) != 0 {
		t.Errorf("what is told without open questions is remembered: %v", o.settled)
	}
}
