package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"plain, größe, Ελλάδα\n\tindented\n", "plain, größe, Ελλάδα\n\tindented\n"},
		{"\x1b[31mred\r\x00\x07", `\u001b[31mred\u000d\u0000\u0007`},
		{"a\x7fb\u0080c\u009bd\u009fe\u00a0", `a\u007fb\u0080c\u009bd\u009fe` + "\u00a0"},
		{"\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u2028\u2029", `\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u2028\u2029`},
		{"\x9b31m\xff", "\ufffd31m\ufffd"},
		{"an emoji of several characters: 👩\u200d💻", "an emoji of several characters: 👩\u200d💻"},
	} {
		if got := throughTerminal(t, test.text); got != test.want {
			t.Errorf("%q gives %q, want %q", test.text, got, test.want)
		}
	}
}

// throughTerminal returns what reaches the terminal when a text is written in one piece. The result
// must be the same when the text is written byte by byte.
func throughTerminal(t *testing.T, text string) string {
	t.Helper()
	var whole, bytewise bytes.Buffer
	if n, err := Terminal(&whole).Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("wrote %d of %d bytes: %v", n, len(text), err)
	}
	w := Terminal(&bytewise)
	for i := range len(text) {
		if n, err := w.Write([]byte{text[i]}); n != 1 || err != nil {
			t.Errorf("wrote %d of 1 byte: %v", n, err)
		}
	}
	if whole.String() != bytewise.String() {
		t.Errorf("whole it is %q, byte by byte %q", whole.String(), bytewise.String())
	}
	return whole.String()
}

func TestTerminalReportsErrors(t *testing.T) {
	t.Parallel()
	if n, err := Terminal(brokenWriter{}).Write([]byte("\x1b")); n != 0 || err == nil {
		t.Errorf("got %d and %v", n, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, iotest.ErrTimeout }

// JSON keeps its value when it passes through a terminal.
func FuzzTerminalKeepsJSON(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b\x7f\u009b\u202e\u2028\n\t")
	f.Fuzz(func(t *testing.T, s string) {
		var line bytes.Buffer
		if err := WriteJSON(Terminal(&line), s); err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSuffix(line.String(), "\n"); strings.ContainsFunc(text, rpc.IsControl) {
			t.Errorf("%q gives %q", s, text)
		}
		var got string
		if err := json.Unmarshal(line.Bytes(), &got); err != nil || utf8.ValidString(s) && got != s {
			t.Errorf("%q became %q: %v", s, got, err)
		}
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("plain")
	f.Add("two\nlines\x00\u0085\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		if line := OneLine(s); strings.ContainsFunc(line, rpc.IsControl) || !utf8.ValidString(line) {
			t.Errorf("%q gives %q", s, line)
		}
	})
}
