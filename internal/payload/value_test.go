package payload

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func num(f float64) *structpb.Value { return structpb.NewNumberValue(f) }
func str(s string) *structpb.Value  { return structpb.NewStringValue(s) }
func null() *structpb.Value         { return structpb.NewNullValue() }
func truth(b bool) *structpb.Value  { return structpb.NewBoolValue(b) }
func list(items ...*structpb.Value) *structpb.Value {
	return structpb.NewListValue(&structpb.ListValue{Values: items})
}

// object takes alternating names and values.
func object(members ...any) *structpb.Value {
	fields := map[string]*structpb.Value{}
	for i := 0; i < len(members); i += 2 {
		fields[members[i].(string)] = members[i+1].(*structpb.Value)
	}
	return structpb.NewStructValue(&structpb.Struct{Fields: fields})
}

func TestValuesAndText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		value *structpb.Value
	}{
		{`null`, null()},
		{`true`, truth(true)},
		{`false`, truth(false)},
		{`""`, str("")},
		{`"a\"\\\u0000é\u2028"`, str("a\"\\\x00é\u2028")},
		{`0`, num(0)},
		{`-1`, num(-1)},
		{`1.5`, num(1.5)},
		{`1e-7`, num(1e-7)},
		{`5e-324`, num(math.SmallestNonzeroFloat64)},
		{`9007199254740991`, num(1<<53 - 1)},
		{`-9007199254740991`, num(-(1<<53 - 1))},
		{`[]`, list()},
		{`{}`, object()},
		{`[null,[],{},[1,"x"]]`, list(null(), list(), object(), list(num(1), str("x")))},
		{`{"":{"b":[true]},"a":1,"z":null}`, object("z", null(), "a", num(1), "", object("b", list(truth(true))))},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			if got := must[string](t)(FromValue(test.value, rpc.BadArguments)); got != strings.ReplaceAll(test.text, `\u2028`, "\u2028") {
				t.Errorf("text: got  %s\nwant %s", got, test.text)
			}
			if got := must[*structpb.Value](t)(ToValue(test.text, rpc.BadResult)); !proto.Equal(got, test.value) {
				t.Errorf("value: got  %v\nwant %v", got, test.value)
			}
		})
	}
}

func TestFromValueTakesWhatIsIncomplete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want  string
		value *structpb.Value
	}{
		{`null`, nil},
		{`null`, &structpb.Value{}},
		{`[]`, structpb.NewListValue(nil)},
		{`{}`, structpb.NewStructValue(nil)},
		{`[null,null]`, list(nil, &structpb.Value{})},
		{`{"a":null}`, object("a", (*structpb.Value)(nil))},
		{`0`, num(math.Copysign(0, -1))},
	} {
		if got := must[string](t)(FromValue(test.value, rpc.BadArguments)); got != test.want {
			t.Errorf("%v: got %s, want %s", test.value, got, test.want)
		}
	}
}

func TestToValueTakesFloatsOfAnySize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		`1.0`: 1, `1e2`: 100, `9007199254740993.0`: 1 << 53, `1e300`: 1e300, `1e-400`: 0, `-1.7976931348623157e308`: -math.MaxFloat64,
	} {
		if got := must[*structpb.Value](t)(ToValue(text, rpc.BadResult)); !proto.Equal(got, num(want)) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestFromValueNamesThePlace(t *testing.T) {
	t.Parallel()
	const exact = "2^53 - 1"
	for _, test := range []struct {
		name       string
		value      *structpb.Value
		path, want string
	}{
		{"too large", num(1 << 53), "", "the integer is beyond " + exact},
		{"too small", num(-1 << 53), "", "the integer is beyond " + exact},
		{"large floats look like integers", num(1e300), "", "the integer is beyond " + exact},
		{"NaN", object("a", num(math.NaN())), "/a", "at /a: NaN is not a JSON number"},
		{"infinity", object("a", num(math.Inf(1))), "/a", "at /a: +Inf is not a JSON number"},
		{"first of a list", list(num(1 << 60)), "/0", "at /0: "},
		{"later in a list", list(num(1), list(), object("a", num(1)), num(1<<60)), "/3", "at /3: "},
		{"deep within", object("a", list(null(), object("b", list(str("x"), num(1<<60))))), "/a/1/b/1", "at /a/1/b/1: "},
		{"after a list", object("a", list(num(1)), "b", num(1<<60)), "/b", "at /b: "},
		{"names are escaped", object("a/b", object("~", num(1<<60))), "/a~1b/~0", "at /a~1b/~0: "},
		{"an empty name", object("", num(1<<60)), "/", "at /: "},
		{"a string that is not UTF-8", list(str("\xff")), "/0", "at /0: it cannot be JSON: invalid UTF-8"},
		{"a name that is not UTF-8", object("\xff", null()), "", "it cannot be JSON: invalid UTF-8"},
		{"too deep", nest(maxDepth+1, false), strings.Repeat("/0", maxDepth), "a protobuf value may nest 1000 deep"},
		{"objects too deep", nest(maxDepth+1, true), strings.Repeat("/a", maxDepth), "a protobuf value may nest 1000 deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []rpc.Kind{rpc.BadArguments, rpc.BadResult} {
				text, err := FromValue(test.value, kind)
				check(t, err, kind, test.path, test.want)
				if text != "" || len(err.Error()) > 1000 {
					t.Errorf("text in spite of an error, or too long a message: %.100s, %d bytes", text, len(err.Error()))
				}
			}
		})
	}
}

func TestToValueNamesThePlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, path, want string }{
		{"too large", `9007199254740992`, "", "the integer is beyond 2^53 - 1"},
		{"too small", `-9007199254740992`, "", "the integer is beyond 2^53 - 1"},
		{"much too large", `{"a":[1,` + strings.Repeat("9", 400) + `]}`, "/a/1", "at /a/1: the integer is beyond 2^53 - 1"},
		{"what to do", `{"a":9223372036854775807}`, "/a", "use `json`"},
		{"deep within", `{"a":[null,{"b":["x",1e0,9007199254740992]}]}`, "/a/1/b/2", "at /a/1/b/2: "},
		{"names are escaped", `{"a/b":{"~":9007199254740992}}`, "/a~1b/~0", "at /a~1b/~0: "},
		{"out of range", `[1e400]`, "/0", "at /0: the number is out of the range of float64"},
		{"nothing", ``, "", "malformed JSON: it ends too early"},
		{"only space", " \n", "", "malformed JSON: it ends too early"},
		{"cut off", `{"a":[1,`, "/a", "malformed JSON: it ends too early"},
		{"another value after", `{} {}`, "", "malformed JSON: invalid character '{'"},
		{"rubbish after", `1 x`, "", "malformed JSON: invalid character 'x'"},
		{"a bracket after", `[1]]`, "", "malformed JSON: invalid character ']'"},
		{"the same name twice", `[{"a":1,"a":2}]`, "/0/a", "the name appears twice"},
		{"not UTF-8", "[\"\xff\"]", "/0", "UTF-8"},
		{"too deep", strings.Repeat(`[`, maxDepth+1) + strings.Repeat(`]`, maxDepth+1), strings.Repeat("/0", maxDepth), "may nest 1000 deep"},
		{"objects too deep", strings.Repeat(`{"a":`, maxDepth+1), strings.Repeat("/a", maxDepth), "may nest 1000 deep"},
		{"far too deep", strings.Repeat(`[`, 1_000_000), strings.Repeat("/0", maxDepth), "may nest 1000 deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []rpc.Kind{rpc.BadArguments, rpc.BadResult} {
				v, err := ToValue(test.text, kind)
				check(t, err, kind, test.path, test.want)
				if v != nil || len(err.Error()) > 1000 {
					t.Errorf("a value in spite of an error, or too long a message: %v, %d bytes", v, len(err.Error()))
				}
			}
		})
	}
	if _, err := ToValue(" \t\r\n1 \t\r\n", rpc.BadResult); err != nil {
		t.Errorf("space around is refused: %v", err)
	}
}

// nest returns nested lists or objects.
func nest(depth int, objects bool) *structpb.Value {
	if depth == 0 {
		return null()
	}
	if objects {
		return object("a", nest(depth-1, true))
	}
	return list(nest(depth-1, false))
}

func TestDeepestValuesSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, objects := range []bool{false, true} {
		t.Run(fmt.Sprintf("objects %v", objects), func(t *testing.T) {
			t.Parallel()
			want := nest(maxDepth, objects)
			text := must[string](t)(FromValue(want, rpc.BadArguments))
			value := must[*structpb.Value](t)(ToValue(text, rpc.BadArguments))
			wire := must[[]byte](t)(proto.Marshal(value))
			var got structpb.Value
			if err := proto.Unmarshal(wire, &got); err != nil || !proto.Equal(&got, want) {
				t.Errorf("it does not come back: %v", err)
			}
		})
	}
}

func TestPathsOfDeepValuesCostNothing(t *testing.T) { //nolint:paralleltest // It measures what is allocated.
	name := strings.Repeat("x", 4000)
	value := null()
	for range maxDepth {
		value = object(name, value)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text := must[string](t)(FromValue(value, rpc.BadArguments))
	runtime.ReadMemStats(&after)
	// If a path were built level by level on the way down, each name would be copied a thousand
	// times.
	if perByte := (after.TotalAlloc - before.TotalAlloc) / uint64(len(text)); perByte > 50 {
		t.Errorf("%d bytes are allocated for each byte of the text", perByte)
	}
}
