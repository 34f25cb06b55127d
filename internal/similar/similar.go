// Package similar finds the name that was probably meant by an unknown name.
package similar

import "strings"

// Name returns the known name that differs from name only in case and underscores, or else the
// first one that differs by one typing error. It returns "" if there is none.
func Name(name string, known []string) string {
	for _, k := range known {
		if plain(k) == plain(name) {
			return k
		}
	}
	for _, k := range known {
		if isTypo(plain(name), plain(k)) {
			return k
		}
	}
	return ""
}

// DidYouMean returns the end of an error text about an unknown name: the question whether a similar
// name was meant, if there is one, and then rest, which begins with a lower-case letter.
func DidYouMean(name string, known []string, rest string) string {
	if meant := Name(name, known); meant != "" {
		return `; did you mean "` + meant + `"? ` + strings.ToUpper(rest[:1]) + rest[1:]
	}
	return "; " + rest
}

func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// isTypo reports whether one letter is missing, added or replaced, or two are swapped. It returns
// false for short names, which are too similar to each other.
func isTypo(a, b string) bool {
	if max(len(a), len(b)) < 4 {
		return false
	}
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return len(a) <= 1 && len(b) <= 1 || swapped
}
