package endpoint

import (
	"strings"
	"unicode"
)

// snakeCase returns a Go name in snake case. A run of capitals is one word, so GetHTTPInfo becomes
// get_http_info. If digits is true, a run of digits is a word, too.
func snakeCase(name string, digits bool) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && runes[i-1] != '_' && beginsWord(runes, i, digits) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func beginsWord(runes []rune, i int, digits bool) bool {
	before := runes[i-1]
	if !unicode.IsUpper(runes[i]) {
		return digits && unicode.IsDigit(runes[i]) && unicode.IsLetter(before)
	}
	beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
	return !unicode.IsUpper(before) || beforeLower
}
