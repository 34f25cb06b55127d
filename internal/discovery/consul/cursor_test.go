package consul

import "testing"

func TestCursor(t *testing.T) {
	const failure = ^uint64(0)
	type answer struct {
		index      uint64
		news, lost bool
		next       uint64
	}
	for name, answers := range map[string][]answer{
		"grows":                        {{7, true, false, 7}, {9, true, false, 9}},
		"nothing changed":              {{7, true, false, 7}, {7, false, false, 7}, {8, true, false, 8}},
		"zero":                         {{0, true, false, 1}, {0, false, false, 1}},
		"went back":                    {{7, true, false, 7}, {5, true, true, 0}, {5, true, false, 5}, {6, true, false, 6}},
		"went back to nothing":         {{7, true, false, 7}, {0, true, true, 0}},
		"after an error":               {{7, true, false, 7}, {failure, false, false, 0}, {7, true, false, 7}},
		"after an error, ahead":        {{7, true, false, 7}, {failure, false, false, 0}, {8, true, false, 8}},
		"after an error, back":         {{7, true, false, 7}, {failure, false, false, 0}, {failure, false, false, 0}, {5, true, true, 0}},
		"an error before any":          {{failure, false, false, 0}, {7, true, false, 7}},
		"an error after it went back":  {{7, true, false, 7}, {5, true, true, 0}, {failure, false, false, 0}, {5, true, false, 5}},
		"back twice":                   {{7, true, false, 7}, {5, true, true, 0}, {3, true, true, 0}},
		"back, then ahead of all ever": {{7, true, false, 7}, {5, true, true, 0}, {9, true, false, 9}},
	} {
		var c cursor
		for n, a := range answers {
			if a.index == failure {
				c.fail()
			} else if news, lost := c.advance(a.index); news != a.news || lost != a.lost {
				t.Errorf("%s, answer %d: news %v, lost %v, want %v, %v", name, n, news, lost, a.news, a.lost)
			}
			if c.next != a.next {
				t.Errorf("%s, answer %d: next index %d, want %d", name, n, c.next, a.next)
			}
		}
	}
}
