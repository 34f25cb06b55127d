package policy

import (
	"strings"
	"testing"
)

func matches(p string, separator byte, text string) bool {
	compiled := newPattern(p, separator)
	return compiled.matches(text)
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern   string
		separator byte
		text      string
		want      bool
	}{
		{"a", '/', "a", true},
		{"a", '/', "ab", false},
		{"", 0, "", true},
		{"", 0, "a", false},
		{"*", 0, "", true},
		{"get_*", 0, "get_x/y.z", true},
		{"get_*", 0, "set_x", false},
		{"*_action", 0, "object_action", true},
		{"*_action", 0, "object_actions", false},
		{"spiffe://cloud/host/*", '/', "spiffe://cloud/host/n1.example", true},
		{"spiffe://cloud/host/*", '/', "spiffe://cloud/host/n1/agent", false},
		{"spiffe://cloud/**", '/', "spiffe://cloud/host/n1/agent", true},
		{"spiffe://cloud/**", '/', "spiffe://cloudy/host", false},
		{"spiffe://*/host/*", '/', "spiffe://a/b/host/c", false},
		{"spiffe://**/host/*", '/', "spiffe://a/b/host/c", true},
		{"dns:*.example", '.', "dns:a.example", true},
		{"dns:*.example", '.', "dns:a.b.example", false},
		{"dns:**.example", '.', "dns:a.b.example", true},
		{"dns:*.example", '.', "dns:a.example.evil", false},
		{"a*b*c", '/', "axbxbxc", true},
		{"a*b*c", '/', "axb/bxc", false},
		{"a**b*c", '/', "axb/bxc", true},
		{"a***c", '/', "a/b/c", true},
	} {
		if got := matches(test.pattern, test.separator, test.text); got != test.want {
			t.Errorf("%q matches %q: %v, want %v", test.pattern, test.text, got, test.want)
		}
	}
}

// naive is a simple implementation of patterns.
func naive(pattern string, separator byte, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case strings.HasPrefix(pattern, "**"):
		return naive(strings.TrimLeft(pattern, "*"), separator, text) || text != "" && naive(pattern, separator, text[1:])
	case pattern[0] == '*':
		return naive(pattern[1:], separator, text) ||
			text != "" && (text[0] != separator || separator == 0) && naive(pattern, separator, text[1:])
	default:
		return text != "" && text[0] == pattern[0] && naive(pattern[1:], separator, text[1:])
	}
}

// word returns the n-th text over an alphabet.
func word(alphabet string, n int) string {
	text := ""
	for ; n > 0; n = (n - 1) / len(alphabet) {
		text += string(alphabet[(n-1)%len(alphabet)])
	}
	return text
}

// This test matches all short patterns with all short texts.
func TestPatternsMeanWhatTheNaiveOnesMean(t *testing.T) {
	t.Parallel()
	const patterns, texts = 3 + 9 + 27 + 81 + 243 + 729, 3 + 9 + 27 + 81
	matched := 0
	for i := range patterns {
		p := word("a*/", i)
		for j := range texts {
			text := word("ab/", j)
			for _, separator := range []byte{0, '/'} {
				got := matches(p, separator, text)
				if got != naive(p, separator, text) {
					t.Fatalf("%q with %q matches %q: %v", p, separator, text, got)
				}
				if got {
					matched++
				}
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("spiffe://**/host/*", "spiffe://a/b/host/c", true)
	f.Add("a*b**c*", "aab/bcab", false)
	f.Fuzz(func(t *testing.T, p, text string, segmented bool) {
		if len(p) > 12 || len(text) > 24 {
			t.Skip("the naive matcher would take too long")
		}
		var separator byte
		if segmented {
			separator = '/'
		}
		if got, want := matches(p, separator, text), naive(p, separator, text); got != want {
			t.Errorf("%q matches %q: %v, want %v", p, text, got, want)
		}
	})
}

// Callers choose their own names, so no name may take long to match.
func TestPatternsTakeNoLongTime(t *testing.T) {
	t.Parallel()
	p := newPattern("**a*a**a*a**a*a**b", '/')
	if p.matches(strings.Repeat("a", 4000)) {
		t.Error("it matched")
	}
}
