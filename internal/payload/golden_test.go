package payload

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/internal/golden"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const goldenFile = "payloads.json"

// goldenRefusal is the place of a value that cannot be decoded or encoded.
type goldenRefusal struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
}

func refusalOf(err error) *goldenRefusal {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return nil
	}
	return &goldenRefusal{e.Kind.Name(), e.Path}
}

// Implementations in other languages accept the same texts, and refuse the same texts at the same
// place.
func TestGoldenTexts(t *testing.T) {
	type read struct {
		Case    string         `json:"case"`
		Text    string         `json:"text"`
		Again   string         `json:"again"` // as it is written again
		Refused *goldenRefusal `json:"refused"`
	}
	cases := golden.Load[read](t, goldenFile, "texts")
	for n, c := range cases {
		var value any
		var again string
		err := Unmarshal(c.Text, &value, rpc.BadArguments)
		if err == nil {
			again, err = Marshal(value, rpc.BadArguments)
		}
		refused := refusalOf(err)
		if !golden.Updating() && (again != c.Again || !golden.Equal(t, refused, c.Refused)) {
			t.Errorf("%s: got %q, %v", c.Case, again, err)
		}
		cases[n].Again, cases[n].Refused = again, refused
	}
	golden.Save(t, goldenFile, "texts", cases)
}

// Implementations in other languages convert values to the same text, and text to the same values.
func TestGoldenValues(t *testing.T) {
	type converted struct {
		Case    string         `json:"case"`
		Text    string         `json:"text"`
		Refused *goldenRefusal `json:"refused"`
		// Value is the encoded google.protobuf.Value for the text.
		Value []byte `json:"value"`
		// Back is the text for the value.
		Back        string         `json:"back"`
		BackRefused *goldenRefusal `json:"back_refused"`
	}
	cases := golden.Load[converted](t, goldenFile, "values")
	for n, c := range cases {
		value, err := ToValue(c.Text, rpc.BadResult)
		got := converted{Case: c.Case, Text: c.Text, Refused: refusalOf(err)}
		if err == nil {
			if got.Value, err = (proto.MarshalOptions{Deterministic: true}).Marshal(value); err != nil {
				t.Fatal(err)
			}
			got.Back, err = FromValue(value, rpc.BadResult)
			got.BackRefused = refusalOf(err)
		}
		if cases[n] = got; !golden.Updating() && !golden.Equal(t, got, c) {
			t.Errorf("%s: got %+v, %v", c.Case, got, err)
		}
	}
	golden.Save(t, goldenFile, "values", cases)
}

// Implementations in other languages refuse the same values.
func TestGoldenUnreadableValues(t *testing.T) {
	type unreadable struct {
		Case  string `json:"case"`
		Value []byte `json:"value"`
		goldenRefusal
	}
	cases := golden.Load[unreadable](t, goldenFile, "unreadable_values")
	for n, c := range cases {
		value := &structpb.Value{}
		if err := proto.Unmarshal(c.Value, value); err != nil {
			t.Fatal(err)
		}
		text, err := FromValue(value, rpc.BadArguments)
		refused := refusalOf(err)
		if refused == nil {
			t.Fatalf("%s: got %s", c.Case, text)
		}
		if !golden.Updating() && *refused != c.goldenRefusal {
			t.Errorf("%s: got %v", c.Case, err)
		}
		cases[n].goldenRefusal = *refused
	}
	golden.Save(t, goldenFile, "unreadable_values", cases)
}

// Keyword arguments must be an object, and so on.
func TestGoldenArguments(t *testing.T) {
	type arguments struct {
		Case    string         `json:"case"`
		Text    string         `json:"text"`
		Refused *goldenRefusal `json:"refused"`
	}
	cases := golden.Load[arguments](t, goldenFile, "arguments")
	for n, c := range cases {
		var args struct {
			A int64       `json:"a"`
			B Opt[string] `json:"b"`
		}
		refused := refusalOf(UnmarshalArgs(c.Text, &args))
		if !golden.Updating() && !golden.Equal(t, refused, c.Refused) {
			t.Errorf("%s: got %+v", c.Case, refused)
		}
		cases[n].Refused = refused
	}
	golden.Save(t, goldenFile, "arguments", cases)
}
