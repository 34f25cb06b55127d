package payload

import (
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestValuesAreWrittenAndRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, test := range []struct {
		want string
		v    any
	}{
		{`"x"`, "x"},
		{`"<&>\u0000é"`, "<&>\x00é"},
		{`true`, true},
		{`[]`, []string{}},
		{`[1,2]`, [2]int{1, 2}},
		{`"AQI="`, []byte{1, 2}},
		{`"AQI="`, [2]byte{1, 2}},
		{`[1,2]`, []namedByte{1, 2}},
		{`{"a":{"b":[null]}}`, map[string]map[string][]*int{"a": {"b": {nil}}}},
		{`{"1":"x"}`, map[int]string{1: "x"}},
		{`"2026-02-03T04:05:06.000000007Z"`, at},
		{`1500000000`, 1500 * time.Millisecond},
		{`"10.0.0.1"`, netip.MustParseAddr("10.0.0.1")},
		{`{"First":"x","second":1}`, struct {
			First  string
			Second int `json:"second"`
		}{"x", 1}},
		{`{"c":1.0}`, struct {
			A int     `json:"a,omitzero"`
			B string  `json:"b,omitempty"`
			C float64 `json:"c"`
		}{C: 1}},
	} {
		text := must[string](t)(Marshal(test.v, rpc.BadResult))
		if text != test.want {
			t.Errorf("%T: got %s, want %s", test.v, text, test.want)
		}
		back := reflect.New(reflect.TypeOf(test.v))
		if err := Unmarshal(text, back.Interface(), rpc.BadResult); err != nil || !reflect.DeepEqual(back.Elem().Interface(), test.v) {
			t.Errorf("%s is read as %+v, %v", text, back.Elem().Interface(), err)
		}
	}
	if got := must[string](t)(Marshal(nil, rpc.BadResult)); got != `null` {
		t.Errorf("nil: got %s", got)
	}
}

func TestUntypedValuesAreRead(t *testing.T) {
	t.Parallel()
	var got any
	want := map[string]any{"s": "x", "b": true, "n": nil, "l": []any{int64(1), 2.5, []any{}, map[string]any{}}}
	if err := Unmarshal(`{"s":"x","b":true,"n":null,"l":[1,2.5,[],{}]}`, &got, rpc.BadResult); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWritingIsDeterministic(t *testing.T) {
	t.Parallel()
	v := map[string]any{}
	for name := range strings.SplitSeq("the quick brown fox jumps over a lazy dog", " ") {
		v[name] = map[string]int{"b": 1, "a": 2, "c": 3}
	}
	first := must[string](t)(MarshalArgs(v))
	for range 20 {
		if again := must[string](t)(MarshalArgs(struct{ Extra }{v})); again != first {
			t.Fatalf("got  %s\nwant %s", again, first)
		}
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	t.Run("is not parsed on the way", func(t *testing.T) {
		t.Parallel()
		const text = `{"a": 1.00,  "a": [`
		if got := must[string](t)(Marshal(Raw(text), rpc.BadResult)); got != text {
			t.Errorf("written as %s", got)
		}
		var got Raw
		if err := Unmarshal(text, &got, rpc.BadResult); err != nil || got != text {
			t.Errorf("read as %s, %v", got, err)
		}
	})
	t.Run("keeps its numbers within another value", func(t *testing.T) {
		t.Parallel()
		text := must[string](t)(Marshal([]any{Raw(`{"a": 1.00}`), new(Raw(`123456789012345678901234567890`))}, rpc.BadResult))
		if text != `[{"a":1.00},123456789012345678901234567890]` {
			t.Errorf("written as %s", text)
		}
		var got []Raw
		if err := Unmarshal(text, &got, rpc.BadResult); err != nil || !reflect.DeepEqual(got, []Raw{`{"a":1.00}`, `123456789012345678901234567890`}) {
			t.Errorf("read as %q, %v", got, err)
		}
	})
	for _, test := range []struct {
		name       string
		raw        Raw
		path, want string
	}{
		{"empty", ``, "/a", "payload.Raw cannot be JSON: it ends too early"},
		{"malformed", `{"x":[1,}`, "/a/x/1", "invalid character '}'"},
		{"the same name twice", `{"x":1,"x":2}`, "/a/x", "the name appears twice"},
		{"two values", `1 2`, "/a", "invalid character '2'"},
	} {
		t.Run(test.name+" within another value", func(t *testing.T) {
			t.Parallel()
			_, err := Marshal(map[string]any{"a": test.raw}, rpc.BadResult)
			check(t, err, rpc.BadResult, test.path, "at "+test.path+": ", test.want)
		})
	}
}

func TestWhatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		dst        any
		path, want string
	}{
		{"nothing", ``, new(int), "", "malformed JSON: it ends too early"},
		{"something after", `1 2`, new(int), "", "malformed JSON: invalid character '2'"},
		{"a time", `"noon"`, new(time.Time), "", "the string is not valid for the Go type time.Time"},
		{"base64", `"?"`, new([]byte), "", "the string must be base64"},
		{"too long an array", `[1,2,3]`, new([2]int), "", "the array is not valid: too many array elements"},
		{"too short an array", `[[1]]`, new([][2]int), "/0", "at /0: the array is not valid: too few array elements"},
		{"an address", `{"a":"10.0.0.300"}`, new(map[string]netip.Addr), "/a", "at /a: the string is not valid for the Go type netip.Addr"},
		{"a number for a string of a type", `5`, new(netip.Addr), "", "wanted string, got number"},
		{"a key", `{"1":1,"x":2}`, new(map[int]int), "/x", `at /x: wanted integer, got string`},
		{"a channel", `1`, new(chan int), "", "nothing can be read into a Go value of type chan int"},
		{"an interface with methods", `[1]`, new([]error), "/0", "nothing can be read into a Go value of type error"},
		{"an object for a list", `{}`, new([]string), "", "wanted array of string, got object"},
		{"a long value is not shown", `["` + strings.Repeat("x", 1000) + `"]`, new([]int), "/0", "at /0: wanted integer, got string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := Unmarshal(test.text, test.dst, rpc.BadResult)
			check(t, err, rpc.BadResult, test.path, test.want)
			if len(err.Error()) > 500 {
				t.Errorf("the message is too long: %d bytes", len(err.Error()))
			}
		})
	}
}

var errOdd = errors.New("odd numbers are not taken")

// picky has its own JSON methods, which fail. As usual, the encoding methods have a value receiver
// and the decoding methods a pointer receiver.
type picky struct{}

func (picky) MarshalJSON() ([]byte, error) {
	return nil, &rpc.Error{Kind: rpc.AccessDenied, Path: "/theirs", Message: "no", Cause: errOdd}
}

func (*picky) UnmarshalJSON([]byte) error { return errOdd }

// malforming encodes to malformed JSON.
type malforming struct{}

func (malforming) MarshalJSON() ([]byte, error) { return []byte(`{"b":[1,?]}`), nil }

// streaming has the newer kind of JSON methods.
type streaming struct{}

func (streaming) MarshalJSONTo(*jsontext.Encoder) error      { return errOdd }
func (*streaming) UnmarshalJSONFrom(*jsontext.Decoder) error { return errOdd }

// delegating decodes with a separate decoder, whose positions are relative to that decoder's text.
type delegating struct{}

func (*delegating) UnmarshalJSON([]byte) error {
	return jsontext.NewDecoder(strings.NewReader(`{"q":[?]}`)).SkipValue()
}

func TestErrorsOfTypesWithMethods(t *testing.T) {
	t.Parallel()
	_, err := Marshal(map[string]any{"a": picky{}}, rpc.BadResult)
	check(t, err, rpc.BadResult, "/a", "at /a: a Go value of type payload.picky cannot be JSON: access denied: no")
	if !errors.Is(err, errOdd) {
		t.Error("the cause is lost")
	}
	_, err = Marshal(map[string]any{"a": malforming{}}, rpc.BadResult)
	check(t, err, rpc.BadResult, "/a/b/1", "at /a/b/1: a Go value of type payload.malforming cannot be JSON: invalid character '?'")
	_, err = MarshalArgs(map[string]any{"a": []streaming{{}}})
	check(t, err, rpc.BadArguments, "/a/0", "payload.streaming cannot be JSON: odd numbers are not taken")

	err = Unmarshal(`{"a":[5]}`, new(map[string][]picky), rpc.BadResult)
	check(t, err, rpc.BadResult, "/a/0", "at /a/0: the number is not valid for the Go type payload.picky")
	if !errors.Is(err, errOdd) || errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	err = Unmarshal(`{"a":[5]}`, new(map[string][]delegating), rpc.BadResult)
	check(t, err, rpc.BadResult, "/a/0/q/0", "at /a/0/q/0: wanted object, got number: invalid character '?'")
	err = UnmarshalArgs(`{"a":5}`, new(struct {
		A streaming `json:"a"`
	}))
	check(t, err, rpc.BadArguments, "/a", "nothing can be read into a Go value of type payload.streaming: odd numbers are not taken")
}

func TestDeepValuesAreRefusedInTime(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000)
	err := Unmarshal(deep, new(any), rpc.BadResult)
	if rpc.KindOf(err) != rpc.BadResult || !strings.Contains(err.Error(), "depth") || len(err.Error()) > 1000 {
		t.Errorf("got %v", err)
	}

	cycle := map[string]any{}
	cycle["a"] = []any{cycle}
	_, err = MarshalArgs(cycle)
	if rpc.KindOf(err) != rpc.BadArguments || len(err.Error()) > 1000 {
		t.Errorf("got %v", err)
	}
}
