package header

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

const hex = "0123456789ABCDEF"

// plain reports whether a byte needs no encoding: visible ASCII except the percent sign, and except
// the comma, at which some implementations split values.
func plain(c byte) bool { return '!' <= c && c <= '~' && c != '%' && c != ',' }

// Escape percent-encodes a name.
func Escape(s string) string {
	special := 0
	for i := range len(s) {
		if !plain(s[i]) {
			special++
		}
	}
	if special == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*special)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// Unescape reverses Escape. It also accepts bytes that Escape would have encoded, since other
// programs may send them.
func Unescape(s string) (string, error) {
	if !strings.Contains(s, "%") && utf8.ValidString(s) {
		return s, nil
	}
	text, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(text) {
		return "", fmt.Errorf("%.64q is malformed: percent-encode the name's UTF-8 bytes", s)
	}
	return text, nil
}
