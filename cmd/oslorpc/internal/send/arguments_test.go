package send

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestArgumentsAsObject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		words []string
		want  string
	}{
		{nil, `{}`},
		{[]string{"a=1"}, `{"a":"1"}`},
		{[]string{"a:=1"}, `{"a":1}`},
		{[]string{"a="}, `{"a":""}`},
		{[]string{"a=b=c"}, `{"a":"b=c"}`},
		{[]string{"a=:=1"}, `{"a":":=1"}`},
		{[]string{"a::=1"}, `{"a:":1}`},
		{[]string{`a="x"`}, `{"a":"\"x\""}`},
		{[]string{"a=two\nlines"}, `{"a":"two\nlines"}`},
		{[]string{"é=☃"}, `{"é":"☃"}`},
		{[]string{"a:= 1 "}, `{"a":1}`},
		{[]string{"a:=12345678901234567890", "b:=1.0", "c:=1e400"}, `{"a":12345678901234567890,"b":1.0,"c":1e400}`},
		{[]string{`a:={"b": [1, null]}`, "z=", "c:=true"}, `{"a":{"b": [1, null]},"z":"","c":true}`},
	} {
		t.Run(strings.Join(test.words, " "), func(t *testing.T) {
			t.Parallel()
			args, err := parseArguments(test.words)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(args.object()); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMalformedArguments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ words, want string }{
		{"a", "write key=text"},
		{"", "write key=text"},
		{"=1", "no name"},
		{":=1", "no name"},
		{"a:=", "for text, write a="},
		{"a:=x", "for text, write a=x"},
		{"a:=1,", "is not JSON"},
		{"a:=1 2", "is not JSON"},
		{`a:={"b":1,"b":2}`, "is not JSON"},
		{"a=1 a:=2", "given twice"},
		{"a=\xff", "UTF-8"},
		{"a:=\"\xff\"", "UTF-8"},
	} {
		t.Run(test.words, func(t *testing.T) {
			t.Parallel()
			words := []string{test.words}
			if strings.Contains(test.words, " a") {
				words = strings.Fields(test.words)
			}
			_, err := parseArguments(words)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, got %v", test.want, err)
			}
			if err != nil && cli.ExitCode(err) != cli.ExitUsage {
				t.Errorf("exit code %d", cli.ExitCode(err))
			}
		})
	}
}

func TestObjectOnInput(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                               `{}`,
		` {"a": 12345678901234567890} `:    `{"a":12345678901234567890}`,
		`{"b":1.0,"a":{"x":[ ]},"c":null}`: `{"b":1.0,"a":{"x":[ ]},"c":null}`,
		`{"":1}`:                           `{"":1}`,
	} {
		args, err := parseObject([]byte(text))
		if err != nil || string(args.object()) != want {
			t.Errorf("%s: got %s, %v, want %s", text, args.object(), err, want)
		}
	}
	for text, want := range map[string]string{
		``:                 "it is empty",
		` `:                "it is empty",
		`[1]`:              "begins with",
		`"a"`:              "begins with",
		`null`:             "begins with",
		`nope`:             "invalid character",
		`{"a":1`:           "EOF",
		`{"a":1} {}`:       "more text follows the object",
		`{"a":1,"a":2}`:    "duplicate",
		`{a:1}`:            "invalid character",
		"{\"a\":\"\xff\"}": "UTF-8",
	} {
		_, err := parseObject([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no JSON object") {
			t.Errorf("%q: want an error with %q, got %v", text, want, err)
		}
	}
}

func TestInputIsReadOnlyWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	in := strings.NewReader(`{"b": 2}`)
	for _, test := range []struct{ words, want string }{
		{"a:=1", `{"a":1}`},
		{"a:=1 - c:=3", `{"a":1,"b":2,"c":3}`},
	} {
		args, err := fromWords(t.Context(), in, strings.Fields(test.words))
		if err != nil || string(args.object()) != test.want {
			t.Errorf("%s: got %s, %v", test.words, args.object(), err)
		}
	}
	for words, want := range map[string]string{"- -": "single -", "b=1 -": "given twice"} {
		in := strings.NewReader(`{"b": 2}`)
		if _, err := fromWords(t.Context(), in, strings.Fields(words)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v", words, want, err)
		}
	}
}

func TestTooMuchInput(t *testing.T) {
	t.Parallel()
	_, err := fromWords(t.Context(), endless{}, []string{"-"})
	if oslorpc.KindOf(err) != oslorpc.TooLarge {
		t.Errorf("got %v", err)
	}
}

// endless is an input without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestHintForText(t *testing.T) {
	t.Parallel()
	args, err := parseArguments([]string{"a=1", "b=x", "c:=1", "d~/=[1]", "e=" + strings.Repeat("1", 100)})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/a":      "a=1 is text: write a:=1",
		"/b":      "b=… is text: for anything else write b:= and JSON",
		"/d~0~1":  "d~/=[1] is text: write d~/:=[1]",
		"/e":      "e=… is text: for anything else write e:= and JSON",
		"/c":      "",
		"/none":   "",
		"":        "",
		"/list/a": "",
	} {
		err := args.explain(&oslorpc.Error{Kind: oslorpc.BadArguments, Path: path, Message: "wanted integer"})
		if got := cli.NewFailure(err).Hint; got != want {
			t.Errorf("%q: got the hint %q, want %q", path, got, want)
		}
		if cli.ExitCode(err) != 8 {
			t.Errorf("%q: exit code %d", path, cli.ExitCode(err))
		}
	}
	if err := args.explain(&oslorpc.Error{Kind: oslorpc.BadResult, Path: "/a"}); cli.NewFailure(err).Hint != "" {
		t.Errorf("a hint about an argument for an error about the result: %v", err)
	}
	if args.explain(nil) != nil {
		t.Error("nil must stay nil")
	}
}

func FuzzParseArgument(f *testing.F) {
	for _, seed := range []string{"a=1", "a:=1", "a", "=", ":=", "a:={}", "a:=[", "é=☃", "a=\xff", `a:={"b":1,"b":2}`, "a==", "a:=1 2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		args, err := parseArguments([]string{word})
		if err != nil {
			return
		}
		object := args.object()
		if v := jsontext.Value(object); !v.IsValid() || v.Kind() != '{' {
			t.Fatalf("%q: no JSON object: %s", word, object)
		}
		sign := "="
		if !args[0].text {
			sign = ":="
		}
		if !strings.HasPrefix(word, args[0].name+sign) {
			t.Errorf("%q: its name was read as %q", word, args[0].name)
		}
		if _, value, _ := strings.Cut(word, "="); args[0].text {
			if text, err := jsontext.AppendUnquote(nil, args[0].json); err != nil || string(text) != value {
				t.Errorf("%q: its text was read as %q, %v", word, text, err)
			}
		}
		args.explain(&oslorpc.Error{Kind: oslorpc.BadArguments, Path: string(jsontext.Pointer("").AppendToken(args[0].name))})
	})
}

func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `[1]`, ``, `{"a":`, `{"a":1,"a":2}`, "{\"\xff\":1}", `{"a":{"b":[1,2]}} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		args, err := parseObject(text)
		v := jsontext.Value(text)
		if valid := v.IsValid() && v.Kind() == '{'; valid != (err == nil) {
			t.Fatalf("%q: it is an object: %v, and parsing gives %v", text, valid, err)
		}
		if err != nil {
			return
		}
		again, err := parseObject([]byte(args.object()))
		if err != nil || again.object() != args.object() {
			t.Errorf("%q: written and read again: %s, %v", text, again.object(), err)
		}
	})
}
