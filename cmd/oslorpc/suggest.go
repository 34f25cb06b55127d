package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// suggestion is what a user may have meant whose selection matches no server.
type suggestion struct {
	text string // empty if nothing comes to mind
	// misspelt is true if a name of the selection looks like a slip for another one.
	misspelt bool
}

// suggest compares the selection with the known instances. The suggestion is empty if the
// selection matches one of them.
func (s *selection) suggest(all []oslorpc.Instance) suggestion {
	exchange := func(i oslorpc.Instance) string { return i.Exchange }
	topic := func(i oslorpc.Instance) string { return i.Topic }
	server := func(i oslorpc.Instance) string { return i.Server }
	onTopic := slices.DeleteFunc(slices.Clone(all), func(i oslorpc.Instance) bool { return s.topic != "" && i.Topic != s.topic })
	here := slices.DeleteFunc(slices.Clone(onTopic), func(i oslorpc.Instance) bool { return s.exchange != "" && i.Exchange != s.exchange })
	switch {
	case slices.ContainsFunc(all, s.has):
		return suggestion{}
	case len(onTopic) == 0: // it may be that all is empty
		return suggestName(s.topic, "the topics are", names(all, topic))
	case len(here) == 0:
		return suggestion{text: fmt.Sprintf("one is in the exchange %q: see --exchange", names(onTopic, exchange)[0])}
	default:
		return suggestName(s.server, "the servers there are", names(here, server))
	}
}

// names returns the distinct names of instances, in order.
func names(list []oslorpc.Instance, of func(oslorpc.Instance) string) []string {
	all := make([]string, 0, len(list))
	for _, i := range list {
		if name := of(i); name != "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// suggestions bounds how many names a suggestion has.
const suggestions = 5

func suggestName(word, intro string, known []string) suggestion {
	if near := similar(word, known); len(near) > 0 {
		return suggestion{text: fmt.Sprintf("did you mean %s?", quoted(near[:min(len(near), suggestions)], " or ")), misspelt: true}
	}
	switch n := len(known); {
	case n == 0:
		return suggestion{}
	case n > suggestions:
		return suggestion{text: fmt.Sprintf("%s %s and %d more", intro, quoted(known[:suggestions], ", "), n-suggestions)}
	case n == 1:
		return suggestion{text: "there is only " + quoted(known, "")}
	default:
		return suggestion{text: intro + " " + quoted(known, ", ")}
	}
}

func quoted(words []string, between string) string {
	list := make([]string, len(words))
	for n, w := range words {
		list[n] = fmt.Sprintf("%q", w)
	}
	return strings.Join(list, between)
}

// similar returns the known names that a word may be a slip for, the nearest first. Names that
// differ in their digits only are different on purpose, as node1 and node2 are.
func similar(word string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, name := range known {
		d := distance(strings.ToLower(word), strings.ToLower(name))
		if d <= max(1, min(len(word), len(name))/4) && (d == 0 || withoutDigits(word) != withoutDigits(name)) {
			near = append(near, candidate{name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	list := make([]string, len(near))
	for n, c := range near {
		list[n] = c.name
	}
	return list
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}

// distance returns how many slips turn one word into the other: a letter too few, too many or
// wrong, or two neighbors swapped.
func distance(from, to string) int {
	a, b := []rune(from), []rune(to)
	var before []int // the rows of the table of distances between the beginnings of the words
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
