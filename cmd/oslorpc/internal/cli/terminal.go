package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Terminal returns a writer to w that escapes every character that controls a terminal or the
// direction of text, except the ends of lines and tabs. It writes \u001b for the character U+001B,
// so JSON keeps its value. Bytes that are not UTF-8 become U+FFFD. All output of the program passes
// through one: servers and registries choose much of its text. It is safe for concurrent use.
func Terminal(w io.Writer) io.Writer { return &terminal{to: w} }

type terminal struct {
	to   io.Writer
	mu   sync.Mutex // held while it writes, so that the parts of a character stay together
	rest []byte     // the beginning of a character that has no end yet
}

// Write writes the text escaped. It reports the length of the text before it was escaped.
func (t *terminal) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := text
	if len(t.rest) > 0 {
		all = slices.Concat(t.rest, text)
	}
	whole := wholeCharacters(all)
	t.rest = bytes.Clone(all[whole:])
	if _, err := t.to.Write(escaped(all[:whole])); err != nil {
		return 0, err
	}
	return len(text), nil
}

// wholeCharacters returns the length of a text without the beginning of a character at its end.
func wholeCharacters(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		start := len(text) - n
		if utf8.RuneStart(text[start]) {
			if utf8.FullRune(text[start:]) {
				break
			}
			return start
		}
	}
	return len(text)
}

// escaped returns a text that is safe for a terminal. It returns the text itself if that is safe.
func escaped(text []byte) []byte {
	var clean []byte
	from := 0 // what lies before it is in clean
	for at := 0; at < len(text); {
		if b := text[at]; b >= ' ' && b <= '~' {
			at++
			continue
		}
		r, size := utf8.DecodeRune(text[at:])
		if invalid := r == utf8.RuneError && size == 1; invalid || r != '\n' && r != '\t' && rpc.IsControl(r) {
			clean = append(append(clean, text[from:at]...), escape(r)...)
			from = at + size
		}
		at += size
	}
	if from == 0 {
		return text
	}
	return append(clean, text[from:]...)
}

// escape returns the escape of a control character. Invalid UTF-8 becomes U+FFFD.
func escape(r rune) string {
	if r == utf8.RuneError {
		return string(r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// lineEscapes are the control characters that have a short escape in Go.
var lineEscapes = map[rune]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}

// OneLine returns a text with its control characters escaped, including line breaks and tabs. Text
// from other programs must not break the line or the table, and must not control the terminal.
func OneLine(s string) string {
	if !strings.ContainsFunc(s, rpc.IsControl) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		short, has := lineEscapes[r]
		switch {
		case has:
			b.WriteString(short)
		case rpc.IsControl(r):
			b.WriteString(escape(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
