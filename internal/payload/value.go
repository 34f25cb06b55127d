package payload

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxDepth bounds the nesting of a protobuf value. A level needs up to three nested messages, and
// protobuf libraries fail beyond 10,000 (Go) or 100 (C++, Python) nested messages.
const maxDepth = 1000

// FromValue returns a protobuf value as JSON text. An integral number is written as an integer. One
// beyond 2^53 - 1 may have been rounded by its sender, so it is an error of the given kind that
// names its path.
func FromValue(v *structpb.Value, kind rpc.Kind) (string, error) {
	b, err := json.Marshal(fromValue{v})
	if err != nil {
		return "", describe(err, kind, unwritable)
	}
	return text(b), nil
}

// fromValue is a protobuf value with a method to write it as JSON.
type fromValue struct{ v *structpb.Value }

// MarshalJSONTo writes the value.
func (f fromValue) MarshalJSONTo(enc *jsontext.Encoder) error { return writeValue(enc, f.v) }

func writeValue(enc *jsontext.Encoder, v *structpb.Value) error {
	switch k := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return enc.WriteToken(jsontext.Bool(k.BoolValue))
	case *structpb.Value_StringValue:
		return enc.WriteToken(jsontext.String(k.StringValue))
	case *structpb.Value_NumberValue:
		return writeNumber(enc, k.NumberValue)
	case *structpb.Value_ListValue:
		return writeList(enc, k.ListValue)
	case *structpb.Value_StructValue:
		return writeStruct(enc, k.StructValue)
	default:
		return enc.WriteToken(jsontext.Null)
	}
}

func writeNumber(enc *jsontext.Encoder, f float64) error {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return &problem{path: next(enc), message: fmt.Sprintf("%v is not a JSON number", f)}
	case f == math.Trunc(f) && math.Abs(f) > maxSafe:
		return &problem{path: next(enc), message: unsafeInteger}
	case f == math.Trunc(f):
		return enc.WriteToken(jsontext.Int(int64(f)))
	default:
		return enc.WriteToken(jsontext.Float(f))
	}
}

func writeList(enc *jsontext.Encoder, list *structpb.ListValue) error {
	if enc.StackDepth() == maxDepth {
		return tooDeep(next(enc))
	}
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, item := range list.GetValues() {
		if err := writeValue(enc, item); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

func writeStruct(enc *jsontext.Encoder, object *structpb.Struct) error {
	if enc.StackDepth() == maxDepth {
		return tooDeep(next(enc))
	}
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	fields := object.GetFields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := writeValue(enc, fields[name]); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// next returns the path of the value that is written next.
func next(enc *jsontext.Encoder) string {
	at := enc.StackPointer()
	kind, n := enc.StackIndex(enc.StackDepth())
	if kind != '[' {
		return string(at)
	}
	if n > 0 {
		at = at.Parent() // the pointer leads to the previous value
	}
	return string(at.AppendToken(strconv.FormatInt(n, 10)))
}

// ToValue returns JSON text as a protobuf value. An integer that does not fit exactly into a double
// is an error of the given kind that names its path.
func ToValue(s string, kind rpc.Kind) (*structpb.Value, error) {
	var t toValue
	if err := json.Unmarshal([]byte(s), &t); err != nil {
		return nil, describe(err, kind, unreadable)
	}
	return t.v, nil
}

// toValue is a protobuf value with a method to parse it from JSON.
type toValue struct{ v *structpb.Value }

// UnmarshalJSONFrom reads the value.
func (t *toValue) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	t.v, err = readValue(dec)
	return err
}

func readValue(dec *jsontext.Decoder) (*structpb.Value, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case 't', 'f':
		return structpb.NewBoolValue(tok.Bool()), nil
	case '"':
		return structpb.NewStringValue(tok.String()), nil
	case '0':
		return readNumber(dec, tok.String())
	case '[':
		return readList(dec)
	case '{':
		return readStruct(dec)
	default:
		return structpb.NewNullValue(), nil
	}
}

func readNumber(dec *jsontext.Decoder, literal string) (*structpb.Value, error) {
	f, err := strconv.ParseFloat(literal, 64)
	if isInteger(literal) && math.Abs(f) > maxSafe {
		return nil, &problem{path: string(dec.StackPointer()), message: unsafeInteger}
	}
	if err != nil {
		return nil, numberError[float64](dec, strconv.ErrRange)
	}
	return structpb.NewNumberValue(f), nil
}

func readList(dec *jsontext.Decoder) (*structpb.Value, error) {
	if dec.StackDepth() > maxDepth {
		return nil, tooDeep(string(dec.StackPointer()))
	}
	list := &structpb.ListValue{}
	for dec.PeekKind() != ']' {
		item, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, item)
	}
	_, err := dec.ReadToken()
	return structpb.NewListValue(list), err
}

func readStruct(dec *jsontext.Decoder) (*structpb.Value, error) {
	if dec.StackDepth() > maxDepth {
		return nil, tooDeep(string(dec.StackPointer()))
	}
	object := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if object.Fields[key], err = readValue(dec); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return structpb.NewStructValue(object), err
}

// unsafeInteger does not contain the integer, because errors are logged.
const unsafeInteger = "the integer is beyond 2^53 - 1, where the numbers of a protobuf value stop being exact: " +
	"use `json`, in which a server then answers too, or a string"

func tooDeep(path string) error {
	return &problem{path: path, message: fmt.Sprintf("a protobuf value may nest %d deep: send it as `json`", maxDepth)}
}
