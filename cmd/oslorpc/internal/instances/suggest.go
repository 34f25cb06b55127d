package instances

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hbollon/go-edlib"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Suggestion is what a user may have meant by a selection that matches no server.
type Suggestion struct {
	// Text is empty if there is no suggestion.
	Text string
	// Misspelt is true if a name of the selection looks like a typing error.
	Misspelt bool
	// Empty is true if there are no servers at all.
	Empty bool
}

// Suggest compares the selection with the known instances of a transport. It is empty if the
// selection matches one of them.
func (s *Selection) Suggest(t fmt.Stringer, all []oslorpc.Instance) Suggestion {
	exchange := func(i oslorpc.Instance) string { return i.Exchange }
	topic := func(i oslorpc.Instance) string { return i.Topic }
	server := func(i oslorpc.Instance) string { return i.Server }
	onTopic := (&Selection{Topic: s.Topic}).Of(all)
	inExchange := (&Selection{Topic: s.Topic, Exchange: s.Exchange}).Of(all)
	switch {
	case slices.ContainsFunc(all, s.Has):
		return Suggestion{}
	case len(all) == 0:
		return Suggestion{Text: nothing(t), Empty: true}
	case len(onTopic) == 0:
		return suggestName(s.Topic, "the topics are", names(all, topic))
	case len(inExchange) == 0:
		return Suggestion{Text: fmt.Sprintf("one is in the exchange %q: see --exchange", names(onTopic, exchange)[0])}
	default:
		return suggestName(s.Server, "the servers there are", names(inExchange, server))
	}
}

// nothing returns a text for a transport without any servers: where the command looked, and how to
// look elsewhere.
func nothing(t fmt.Stringer) string {
	return fmt.Sprintf("%s lists no server at all; to look elsewhere, use --transport or %s, with a URL such as consul://localhost:8500",
		t, oslorpc.TransportURLVariable)
}

// names returns the distinct names of instances, in order.
func names(list []oslorpc.Instance, name func(oslorpc.Instance) string) []string {
	all := make([]string, 0, len(list))
	for _, i := range list {
		if name := name(i); name != "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxSuggestions bounds how many names a suggestion has.
const maxSuggestions = 5

func suggestName(word, intro string, known []string) Suggestion {
	if near := similar(word, known); len(near) > 0 {
		near = near[:min(len(near), maxSuggestions)]
		return Suggestion{Text: fmt.Sprintf("did you mean %s?", quoted(near, " or ")), Misspelt: true}
	}
	switch n := len(known); {
	case n == 0:
		return Suggestion{}
	case n > maxSuggestions:
		first := quoted(known[:maxSuggestions], ", ")
		return Suggestion{Text: fmt.Sprintf("%s %s and %d more", intro, first, n-maxSuggestions)}
	case n == 1:
		return Suggestion{Text: "there is only " + quoted(known, "")}
	default:
		return Suggestion{Text: intro + " " + quoted(known, ", ")}
	}
}

func quoted(words []string, separator string) string {
	list := make([]string, len(words))
	for n, w := range words {
		list[n] = fmt.Sprintf("%q", w)
	}
	return strings.Join(list, separator)
}

// similar returns the known names of which a word may be a misspelling, the nearest first. Names
// that differ only in digits, such as node1 and node2, differ on purpose.
func similar(word string, known []string) []string {
	distance := func(name string) int {
		return edlib.OSADamerauLevenshteinDistance(strings.ToLower(word), strings.ToLower(name))
	}
	near := slices.DeleteFunc(slices.Clone(known), func(name string) bool {
		d := distance(name)
		return d > max(1, min(len(word), len(name))/4) || d > 0 && withoutDigits(word) == withoutDigits(name)
	})
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(distance(a), distance(b)) })
	return near
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
