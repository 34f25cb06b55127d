package payload

import (
	stdjson "encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestOpt(t *testing.T) {
	t.Parallel()
	var absent Opt[int]
	if v, ok := absent.Get(); ok || v != 0 || absent.Or(7) != 7 || !absent.IsZero() {
		t.Errorf("the zero value is not absent: %+v", absent)
	}
	zero := Some(0)
	if v, ok := zero.Get(); !ok || v != 0 || zero.Or(7) != 0 || zero.IsZero() {
		t.Errorf("a zero that is present is taken for absent: %+v", zero)
	}
	if same := Some(0); absent == zero || zero != same {
		t.Error("equality does not tell absent from zero, or tells the same apart")
	}
}

type nested struct {
	Omitted Opt[string]    `json:"omitted,omitzero"`
	Null    Opt[string]    `json:"null"`
	Float   Opt[float64]   `json:"float,omitzero"`
	Any     Opt[any]       `json:"any,omitzero"`
	Big     Opt[*big.Int]  `json:"big,omitzero"`
	Deep    Opt[*nested]   `json:"deep,omitzero"`
	List    []Opt[int]     `json:"list,omitzero"`
	Time    Opt[time.Time] `json:"time,omitzero"`
}

func TestNestedOptIsWritten(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`{"null":null}`:                 nested{},
		`{"omitted":"","null":"x"}`:     nested{Omitted: Some(""), Null: Some("x")},
		`{"null":null,"float":1.0}`:     nested{Float: Some(1.0)},
		`{"null":null,"any":[1.0,1]}`:   nested{Any: Some[any]([]any{1.0, 1})},
		`{"null":null,"any":null}`:      nested{Any: Some[any](nil)},
		`{"null":null,"list":[null,0]}`: nested{List: []Opt[int]{{}, Some(0)}},
		`{"a":{"null":null,"float":0.0}}`: struct {
			A Opt[nested] `json:"a"`
		}{Some(nested{Float: Some(0.0)})},
	} {
		if got := must[string](t)(Marshal(v, rpc.BadResult)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestNestedOptIsRead(t *testing.T) {
	t.Parallel()
	large, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for text, want := range map[string]nested{
		`{}`:                        {},
		`{"omitted":"","null":"x"}`: {Omitted: Some(""), Null: Some("x")},
		`{"omitted":null,"null":null,"float":null,"time":null,"list":null}`: {},
		`{"list":[null,0]}`:              {List: []Opt[int]{{}, Some(0)}},
		`{"any":null}`:                   {Any: Some[any](nil)},
		`{"any":9007199254740993}`:       {Any: Some[any](int64(9007199254740993))},
		`{"any":[1.0,{"a":1}]}`:          {Any: Some[any]([]any{1.0, map[string]any{"a": int64(1)}})},
		`{"big":null}`:                   {Big: Some[*big.Int](nil)},
		`{"deep":{"float":1}}`:           {Deep: Some(&nested{Float: Some(1.0)})},
		`{"list":[1,2]}`:                 {List: []Opt[int]{Some(1), Some(2)}},
		`{"big":` + large.String() + `}`: {Big: Some(large)},
	} {
		var got nested
		if err := Unmarshal(text, &got, rpc.BadResult); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestNestedOptNamesThePlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, path, want string }{
		{`[{"omitted":1}]`, "/0/omitted", "at /0/omitted: wanted string, got number"},
		{`[{"deep":{"deep":{"list":[1,1.5]}}}]`, "/0/deep/deep/list/1", "wanted integer, got number"},
		{`[{"any":[1,1e999]}]`, "/0/any/1", "the number is out of the range of float64"},
		{`[{"any":[1,[}]]`, "/0/any/1/0", "malformed JSON: invalid character '}'"},
		{`[{"any":{"a/b":{"c":1,"c":2}}}]`, "/0/any/a~1b/c", "malformed JSON: the name appears twice"},
	} {
		// The same text as a result must not have the kind BadArguments.
		check(t, Unmarshal(test.text, new([]nested), rpc.BadResult), rpc.BadResult, test.path, test.want)
	}

	_, err := Marshal(map[string]any{"a": []nested{{Any: Some[any](map[string]any{"c": make(chan int)})}}}, rpc.BadResult)
	check(t, err, rpc.BadResult, "/a/0/any/c", "at /a/0/any/c: a Go value of type chan int cannot be JSON")

	var got Opt[string]
	if err := Unmarshal(`5`, &got, rpc.BadResult); err == nil || !got.IsZero() {
		t.Errorf("what cannot be read is present: %+v, %v", got, err)
	}
}

func TestOptOfAnOpt(t *testing.T) {
	t.Parallel()
	type args struct {
		A Opt[Opt[int]] `json:"a"`
	}
	for text, want := range map[string]args{`{}`: {}, `{"a":1}`: {Some(Some(1))}} {
		var got args
		if err := UnmarshalArgs(text, &got); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
		if back := must[string](t)(MarshalArgs(want)); back != text {
			t.Errorf("got %s, want %s", back, text)
		}
	}
	var got args
	if err := UnmarshalArgs(`{"a":null}`, &got); err != nil || got != (args{Some(Opt[int]{})}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOptKeepsItsMeaningInEncodingJSON(t *testing.T) {
	t.Parallel()
	type user struct {
		A Opt[int]     `json:"a"`
		B Opt[string]  `json:"b"`
		C Opt[float64] `json:"c"`
	}
	text, err := stdjson.Marshal(user{A: Some(1), C: Some(2.0)})
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != `{"a":1,"b":null,"c":2.0}` {
		t.Errorf("got %s", text)
	}
	var got user
	if err := stdjson.Unmarshal(text, &got); err != nil || got != (user{A: Some(1), C: Some(2.0)}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := stdjson.Unmarshal([]byte(`{"a":"x"}`), &got); err == nil {
		t.Error("want an error for a string in place of an integer")
	}
}
