package rpcstatus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abcd", 4, "abcd"}, {"abcde", 4, "a…"}, {"abcd", 3, "…"},
		{"abcd", 2, ""}, {"abcd", 1, ""}, {"abcd", 0, ""},
		{"äöüäöü", 8, "äö…"}, {"€€€€€€", 9, "€€…"}, {"€€€€€€", 8, "€…"}, {"€€€", 5, "…"},
	} {
		if got := cut(test.text, test.n); got != test.want {
			t.Errorf("%q to %d: got %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func TestTextOfAStatusFitsEncoded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		whole      bool
	}{
		{"short", "not delivered: 100 % full, 5 €", true},
		{"ASCII", strings.Repeat("a", maxText), true},
		{"long ASCII", strings.Repeat("a", maxText+1), false},
		{"percent", strings.Repeat("%", maxText/3), true},
		{"more percent", strings.Repeat("%", maxText/2), false},
		{"lines", strings.Repeat("\n", maxText/2), false},
		{"beyond ASCII", strings.Repeat("€", maxText/9), true},
		{"long, beyond ASCII", strings.Repeat("€", maxText/3), false},
		{"not UTF-8", strings.Repeat("a\xff", maxText), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := trimText(test.text)
			if (got == test.text) != test.whole {
				t.Errorf("it is whole: got %v, want %v", got == test.text, test.whole)
			}
			if size := len(percentEncoded(got)); size > maxText || (!test.whole && size < maxText-20) {
				t.Errorf("encoded it has %d bytes", size)
			}
			if !utf8.ValidString(got) {
				t.Errorf("it is not UTF-8: %q", got)
			}
		})
	}
}

// percentEncoded encodes a message as gRPC's specification says.
func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func TestShortErrorIsNotCut(t *testing.T) {
	t.Parallel()
	stack := make([]string, 30)
	for i := range stack {
		stack[i] = strings.Repeat("x", 60)
	}
	cause := &rpc.RemoteError{Type: "panic", Message: strings.Repeat("m", 300), Stack: stack, Hops: []string{"a", "b", "c", "d", "e", "f"}}
	st := Encode(&rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause, Server: "net1"}, nil)
	d := arrivedDetail(t, st)
	if len(d.GetRemote().GetStack()) != 30 || d.GetRemote().GetMessage() != cause.Message || len(d.GetRemote().GetHops()) != 6 {
		t.Errorf("it was cut to %v", d)
	}
	checkSize(t, st)
}

func TestStackIsCutFirstAndFromItsEnd(t *testing.T) {
	t.Parallel()
	stack := make([]string, 500)
	for i := range stack {
		stack[i] = fmt.Sprintf("line %d %s", i, strings.Repeat("x", 60))
	}
	cause := &rpc.RemoteError{Type: "panic", Message: strings.Repeat("m", 300), Stack: stack}
	st := Encode(&rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause}, nil)
	checkSize(t, st)
	r := arrivedDetail(t, st).GetRemote()
	if r.GetMessage() != cause.Message {
		t.Errorf("the message was cut: %q", r.GetMessage())
	}
	got := r.GetStack()
	if len(got) < 30 {
		t.Errorf("%d lines are left", len(got))
	}
	for i := range got {
		if got[i] != stack[i] {
			t.Errorf("line %d is %q", i, got[i])
		}
	}
}

// The data is dropped after the stack and before any byte of the texts, and it is dropped
// completely, since a part of it would not be JSON.
func TestDataIsCutBeforeTexts(t *testing.T) {
	t.Parallel()
	stack := slices.Repeat([]string{strings.Repeat("x", 60)}, 500)
	for _, test := range []struct {
		data  int
		whole bool
	}{{0, true}, {1000, true}, {2500, true}, {4000, false}, {100_000, false}} {
		cause := &rpc.RemoteError{Type: "ports.Gone", Message: strings.Repeat("m", 300), Stack: stack, Data: strings.Repeat("d", test.data)}
		st := Encode(&rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause}, nil)
		checkSize(t, st)
		r := arrivedDetail(t, st).GetRemote()
		if got := r.GetData(); (got == cause.Data) != test.whole || (!test.whole && got != "") {
			t.Errorf("of %d bytes of data %d arrived", test.data, len(got))
		}
		if r.GetMessage() != cause.Message || r.GetType() != cause.Type {
			t.Errorf("beside %d bytes of data, the text was cut to %v", test.data, r)
		}
	}
}

// If only one text is long, it gets most of the space of a status: it is sent once and truncated no
// more than necessary.
func TestLongTextArrives(t *testing.T) {
	t.Parallel()
	const documented = 2800 // docs/errors.md
	for _, size := range []int{1500, documented, 3200, 5000, 100_000} {
		cause := &rpc.RemoteError{Type: "fs.PathError", Message: strings.Repeat("m", size), Hops: []string{"net1"}}
		st := Encode(&rpc.Error{Kind: rpc.Remote, Message: cause.Error(), Cause: cause, Method: "build", Server: "net1"}, nil)
		checkSize(t, st)
		got := Decode(arrived(t, st).Err(), true)
		var remote *rpc.RemoteError
		if !errors.As(got, &remote) || len(remote.Message) < min(size, documented) {
			t.Errorf("of %d bytes arrived %d", size, len(remote.Message))
		}
		if !strings.Contains(got.Message, remote.Message) {
			t.Errorf("of %d bytes, the error itself has only %d", size, len(got.Message))
		}
	}
}

func TestLongestTextsAreCutBeforeOthers(t *testing.T) {
	t.Parallel()
	st := Encode(&rpc.Error{
		Kind: rpc.BadArguments, Message: strings.Repeat("m", 100_000), Path: "/volumes/3/size", Method: "foo", Server: "net1", InstanceID: "b1.2",
	}, nil)
	checkSize(t, st)
	d := arrivedDetail(t, st)
	if d.GetPath() != "/volumes/3/size" || d.GetMethod() != "foo" || d.GetServer() != "net1" || d.GetInstanceId() != "b1.2" {
		t.Errorf("got %v", d)
	}
	if n := len(d.GetMessage()); n < 1000 {
		t.Errorf("%d bytes of the message are left", n)
	}
}

// huge returns errors with something large in each field.
func huge() map[string]*rpc.Error {
	long := strings.Repeat("é\x00", 50_000)
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "entry"
	}
	remote := func(r rpc.RemoteError) *rpc.Error { return &rpc.Error{Kind: rpc.Remote, Message: r.Error(), Cause: &r} }
	return map[string]*rpc.Error{
		"message":       {Kind: rpc.BadArguments, Message: long},
		"path":          {Kind: rpc.BadArguments, Path: long},
		"method":        {Kind: rpc.NoSuchMethod, Method: long},
		"version":       {Kind: rpc.InvalidTarget, Target: rpc.Target{Version: long}},
		"server":        {Kind: rpc.Timeout, Server: long},
		"instance":      {Kind: rpc.Timeout, InstanceID: long},
		"type":          remote(rpc.RemoteError{Type: long}),
		"text":          remote(rpc.RemoteError{Message: long}),
		"one line":      remote(rpc.RemoteError{Stack: []string{long}}),
		"lines":         remote(rpc.RemoteError{Stack: many}),
		"empty lines":   remote(rpc.RemoteError{Stack: make([]string, 10_000)}),
		"data":          remote(rpc.RemoteError{Data: long}),
		"one hop":       remote(rpc.RemoteError{Hops: []string{long}}),
		"hops":          remote(rpc.RemoteError{Hops: many}),
		"empty hops":    remote(rpc.RemoteError{Hops: make([]string, 10_000)}),
		"everything":    {Kind: rpc.Remote, Message: long, Method: long, Path: long, Server: long, InstanceID: long, Target: rpc.Target{Version: long}, Cause: &rpc.RemoteError{Type: long, Message: long, Stack: many, Hops: many, Data: long}},
		"another's":     {Kind: rpc.Invalid, Message: long},
		"a cause alone": {Kind: rpc.Timeout, Cause: fmt.Errorf("%s", long)},
	}
}

func TestHugeErrorsFit(t *testing.T) {
	t.Parallel()
	n := strings.Repeat("n", 255)
	seen := slices.Repeat([]*pb.Implementation{{Namespace: &n, Version: "4294967295.4294967295.4294967295"}}, 1000)
	for name, err := range huge() {
		for _, seen := range [][]*pb.Implementation{nil, seen} {
			t.Run(fmt.Sprint(name, len(seen)), func(t *testing.T) {
				t.Parallel()
				st := Encode(err, seen)
				checkSize(t, st)
				if got := Decode(arrived(t, st).Err(), true); err.Kind != rpc.Invalid && (got.Kind != err.Kind || got.NotStarted) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
	checkSize(t, Encode(fmt.Errorf("%s", strings.Repeat("é", 50_000)), nil))
}

func TestWhatIsNotUTF8IsReplaced(t *testing.T) {
	t.Parallel()
	bad := "a\xff\xfeb\xc3"
	const want = "a\uFFFDb\uFFFD"
	cause := &rpc.RemoteError{Type: bad, Message: bad, Stack: []string{bad, "c"}, Hops: []string{bad}, Data: bad}
	st := Encode(&rpc.Error{
		Kind: rpc.Remote, Message: bad, Method: bad, Path: bad, Server: bad, InstanceID: bad, Target: rpc.Target{Version: bad}, Cause: cause,
	}, []*pb.Implementation{{Namespace: &bad, Version: bad}})
	d := arrivedDetail(t, st)
	for _, s := range texts(d) {
		if *s != want && *s != "c" {
			t.Errorf("got %q", *s)
		}
	}
	if len(texts(d)) != 13 {
		t.Errorf("%d texts arrived", len(texts(d)))
	}
	if text := Encode(fmt.Errorf("%s", bad), nil).Message(); text != want {
		t.Errorf("got %q", text)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("no such port", "/a/b", "line", uint8(0), uint8(30), uint8(8))
	f.Add("a\xffb", "\xc3", "é\n", uint8(3), uint8(255), uint8(0))
	f.Add("€%", "/volumes/3", "a line of a stack", uint8(255), uint8(100), uint8(15))
	f.Fuzz(func(t *testing.T, message, path, line string, times, lines, kind uint8) {
		message, path = strings.Repeat(message, 1+int(times)), strings.Repeat(path, 1+int(times))
		list := slices.Repeat([]string{line}, int(lines))
		e := &rpc.Error{
			Kind: rpc.Kind(kind % 20), Message: message, Path: path, Method: line, Server: path, InstanceID: line,
			Target: rpc.Target{Version: path}, Cause: &rpc.RemoteError{Type: line, Message: message, Stack: list, Hops: list, Data: message},
		}
		seen := slices.Repeat([]*pb.Implementation{{Namespace: &line, Version: path}}, len(list))
		st := Encode(e, seen)
		checkSize(t, st)
		if _, known := formOf(e); !known {
			return
		}
		got := Decode(arrived(t, st).Err(), true)
		if got.Kind != e.Kind || got.NotStarted {
			t.Errorf("got %+v", got)
		}
		if whole := newDetail(e, form{}, seen); proto.Size(whole) < 2000 && utf8.ValidString(message) && got.Message != message && message != "" {
			t.Errorf("the message was cut though everything fits: %q", got.Message)
		}
	})
}
