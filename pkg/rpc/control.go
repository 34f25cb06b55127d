package rpc

import "unicode"

// IsControl reports whether r changes how the text around it is displayed: a C0 or C1 control
// character, DEL, a control of text direction, or a line separator. Names must not have such
// characters, because they can falsify what a terminal or a log displays.
func IsControl(r rune) bool {
	if unicode.IsControl(r) {
		return true
	}
	switch {
	case r == '\u061c', // the Arabic letter mark
		r == '\u200e', r == '\u200f', // left-to-right and right-to-left marks
		r == '\u2028', r == '\u2029', // separators of lines and paragraphs
		r >= '\u202a' && r <= '\u202e', // embeddings and overrides
		r >= '\u2066' && r <= '\u2069': // isolates
		return true
	}
	return false
}
