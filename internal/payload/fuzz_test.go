package payload

import (
	stdjson "encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// everything has a field of each kind that is decoded separately.
type everything struct {
	base
	String  Opt[string]          `json:"string"`
	Int     Opt[int8]            `json:"int"`
	Uint    Opt[uint64]          `json:"uint"`
	Float   Opt[float32]         `json:"float"`
	Double  Opt[float64]         `json:"double"`
	Bool    Opt[*bool]           `json:"bool"`
	Big     Opt[*big.Int]        `json:"big"`
	Any     Opt[any]             `json:"any"`
	Raw     Opt[Raw]             `json:"raw"`
	Bytes   Opt[[]byte]          `json:"bytes"`
	Time    Opt[time.Time]       `json:"time"`
	Map     Opt[map[int8]string] `json:"map"`
	Floats  Opt[map[float64]any] `json:"floats"`
	Nested  Opt[[]nested]        `json:"nested"`
	A, B, C Opt[[2]int]
	Extra
}

var texts = []string{
	`{}`, `{"host":"h"}`, `{"host":null}`, `{"Host":"h"}`, `{"host":"h","a":1,"a":2}`, `{"host":"h"} {}`, `[]`, `nul`, ``, `{"host"`,
	`{"host":"h","string":"x","int":-128,"uint":18446744073709551615,"float":1.5,"double":1e300,"bool":null,"zone":"z"}`,
	`{"host":"h","big":123456789012345678901234567890,"any":[1,1.0,-0,1e2,{"a":null}],"raw": { "x" : 1.00 } }`,
	`{"host":"h","bytes":"AQI=","time":"2026-02-03T04:05:06.7+01:00","map":{"1":"x"},"floats":{"1":2,"1.5":{}},"A":[1,2]}`,
	`{"host":"h","nested":[{"omitted":"","null":"x","deep":{"list":[1,2]}},{"any":9007199254740993,"big":1}]}`,
	`{"host":"h","nested":[{"omitted":null}],"int":300}`,
	`{"a/b":{"~":[[],{},"\u0000\ud83d\ude00",true,false,null]}}`,
	`{"a":9007199254740991,"b":-9007199254740991}`, `{"a":9007199254740992}`, `{"a":1e400}`, `{"a":[1,}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`,
}

func FuzzUnmarshalArgs(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fuzzArgs[everything](t, text)
		fuzzArgs[map[string]any](t, text)
		fuzzArgs[named](t, text)
	})
}

func fuzzArgs[T any](t *testing.T, text string) {
	t.Helper()
	var args T
	if err := UnmarshalArgs(text, &args); err != nil {
		var e *rpc.Error
		if !errors.As(err, &e) || e.Kind != rpc.BadArguments || e.Message == "" || !jsontext.Pointer(e.Path).IsValid() {
			t.Errorf("%q: %#v", text, err)
		}
		return
	}
	if !jsontext.Value(text).IsValid() {
		t.Errorf("%q is malformed and was read as %+v", text, args)
	}
	first, err := MarshalArgs(args)
	if err != nil {
		t.Fatalf("%q was read as %+v, which cannot be written: %v", text, args, err)
	}
	checkSameMeaning[T](t, text, first)
	var again T
	if err := UnmarshalArgs(first, &again); err != nil {
		t.Fatalf("%q was written as %q, which cannot be read: %v", text, first, err)
	}
	if second, err := MarshalArgs(again); err != nil || second != first {
		t.Errorf("%q was written as %q, and then as %q, %v", text, first, second, err)
	}
}

// checkSameMeaning compares the results of encoding/json for a text before and after it went
// through a map.
func checkSameMeaning[T any](t *testing.T, before, after string) {
	t.Helper()
	var want, got any
	if reflect.TypeFor[T]().Kind() != reflect.Map || stdjson.Unmarshal([]byte(before), &want) != nil {
		return
	}
	if err := stdjson.Unmarshal([]byte(after), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q was written as %q (%v)", before, after, err)
	}
}

func FuzzToValue(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	for _, text := range []string{`1`, `-0.0`, `1e-400`, `"x"`, ` null `, `1 2`, `[9007199254740993.0]`, strings.Repeat("[", 1001)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ToValue(text, rpc.BadResult)
		var want structpb.Value
		wantErr := protojson.Unmarshal([]byte(text), &want)
		switch {
		case err == nil && wantErr != nil:
			t.Fatalf("%q: protojson refuses what we read as %v: %v", text, got, wantErr)
		case err == nil && !proto.Equal(got, &want):
			t.Fatalf("%q: got %v, want %v", text, got, &want)
		case err != nil:
			checkRefusal(t, text, err, wantErr == nil)
			return
		}
		back, err := FromValue(got, rpc.BadResult)
		if err != nil {
			checkRefusal(t, text, err, true)
			return
		}
		if again, err := ToValue(back, rpc.BadResult); err != nil || !proto.Equal(again, got) {
			t.Errorf("%q: written as %q, read as %v, %v", text, back, again, err)
		}
	})
}

// checkRefusal checks that we refuse only text that we say we refuse. If other decoders accept the
// text, it must be one of our own restrictions.
func checkRefusal(t *testing.T, text string, err error, othersTakeIt bool) {
	t.Helper()
	var e *rpc.Error
	if !errors.As(err, &e) || e.Kind != rpc.BadResult || !jsontext.Pointer(e.Path).IsValid() {
		t.Fatalf("%q: %#v", text, err)
	}
	if !othersTakeIt {
		return
	}
	for _, ours := range []string{"beyond 2^53 - 1", "may nest", "appears twice", "surrogate", "out of the range"} {
		if strings.Contains(e.Message, ours) {
			return
		}
	}
	t.Errorf("%q: only we refuse it: %v", text, err)
}

func FuzzFromValue(f *testing.F) {
	for _, v := range []*structpb.Value{
		{}, null(), truth(true), num(1), num(1.5), num(1 << 53), num(math.NaN()), num(math.Inf(-1)), num(math.Copysign(0, -1)), str("é\x00"),
		list(num(1), list(), &structpb.Value{}), object("a", num(1), "b/~", object("", null())), nest(20, true), structpb.NewListValue(nil),
	} {
		wire, err := proto.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var v structpb.Value
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, &v) != nil {
			return
		}
		text, err := FromValue(&v, rpc.BadResult)
		theirs, theirErr := protojson.Marshal(&v)
		if err != nil {
			checkRefusal(t, v.String(), err, theirErr == nil)
			return
		}
		if !jsontext.Value(text).IsValid() {
			t.Fatalf("%v is written as %q", &v, text)
		}
		if theirErr != nil { // it has a value without a kind, which is null to us
			return
		}
		var ours, want any
		if err := errors.Join(Unmarshal(text, &ours, rpc.BadResult), Unmarshal(string(theirs), &want, rpc.BadResult)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(ours, want) {
			t.Errorf("%v: got %s, want %s", &v, text, theirs)
		}
		var same structpb.Value // but for a null that has another number than 0
		if err := protojson.Unmarshal(theirs, &same); err != nil {
			t.Fatal(err)
		}
		if back, err := ToValue(text, rpc.BadResult); err != nil || !proto.Equal(back, &same) {
			t.Errorf("%v: written as %s, read as %v, %v", &v, text, back, err)
		}
	})
}
