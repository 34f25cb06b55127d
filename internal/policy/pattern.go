package policy

import "strings"

// pattern is a text in which stars match other text.
type pattern struct {
	text string
	// separator is the byte at which a single star stops matching. Two stars match any text. With
	// 0, a single star does so as well.
	separator byte
	// prefix and suffix are the text before the first star and after the last. Without stars,
	// prefix is the whole text.
	prefix, suffix string
	stars          bool
}

func newPattern(text string, separator byte) pattern {
	p := pattern{text: text, separator: separator}
	p.prefix, _, p.stars = strings.Cut(text, "*")
	p.suffix = text[strings.LastIndex(text, "*")+1:]
	return p
}

// matches reports whether text matches the pattern. In the worst case it takes quadratic time.
func (p *pattern) matches(text string) bool {
	if !p.stars {
		return p.text == text
	}
	return len(text) >= len(p.prefix)+len(p.suffix) && strings.HasPrefix(text, p.prefix) && strings.HasSuffix(text, p.suffix) &&
		glob(p.text[len(p.prefix):len(p.text)-len(p.suffix)], p.separator, text[len(p.prefix):len(text)-len(p.suffix)])
}

// glob matches text with a pattern.
func glob(pattern string, separator byte, text string) bool {
	if pattern == "*" { // the usual case
		return separator == 0 || strings.IndexByte(text, separator) < 0
	}
	m := matcher{pattern: pattern, separator: separator, text: text, single: none, double: none}
	for m.at < len(text) || m.in < len(pattern) {
		if !m.step() && !m.back() {
			return false
		}
	}
	return true
}

// matcher matches a text against a pattern. After a mismatch it returns to the last star and lets
// that match one byte more. Earlier stars need no other attempt: a later star that begins earlier
// reaches everything that it could reach otherwise. When the last single star meets a separator,
// the last double star is extended.
type matcher struct {
	pattern, text string
	separator     byte
	at, in        int // in the text, and in the pattern
	// single and double are where the pattern continues after the last single star and the last
	// double star. SingleEnd and doubleEnd are the ends of the text that these match.
	single, singleEnd, double, doubleEnd int
}

const none = -1

// step advances over stars, or over a byte that matches. It returns false on a mismatch.
func (m *matcher) step() bool {
	switch {
	case m.in == len(m.pattern):
		return false
	case m.pattern[m.in] == '*':
		if length := stars(m.pattern[m.in:]); length > 1 || m.separator == 0 {
			m.in += length
			m.double, m.doubleEnd, m.single = m.in, m.at, none
		} else {
			m.in++
			m.single, m.singleEnd = m.in, m.at
		}
		return true
	case m.at < len(m.text) && m.pattern[m.in] == m.text[m.at]:
		m.at, m.in = m.at+1, m.in+1
		return true
	default:
		return false
	}
}

// back extends the last star that can match more. It returns false if there is none.
func (m *matcher) back() bool {
	switch {
	case m.single != none && m.singleEnd < len(m.text) && m.text[m.singleEnd] != m.separator:
		m.singleEnd++
		m.at, m.in = m.singleEnd, m.single
		return true
	case m.double != none && m.doubleEnd < len(m.text):
		m.doubleEnd++
		m.at, m.in, m.single = m.doubleEnd, m.double, none
		return true
	default:
		return false
	}
}

// stars returns the number of stars at the beginning of a pattern.
func stars(pattern string) int { return len(pattern) - len(strings.TrimLeft(pattern, "*")) }

// patterns are alternatives. Nil matches any text.
type patterns []pattern

func newPatterns(texts []string, separator byte) patterns {
	if texts == nil {
		return nil
	}
	list := make(patterns, len(texts))
	for i, text := range texts {
		list[i] = newPattern(text, separator)
	}
	return list
}

func (p patterns) match(text string) bool {
	if p == nil {
		return true
	}
	for i := range p {
		if p[i].matches(text) {
			return true
		}
	}
	return false
}
