package payload

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// FromValue returns a protobuf value as JSON text. An integral number is written as an integer; one beyond 2^53 - 1 may
// have been rounded by its sender, and is an error of kind that names its path.
func FromValue(v *structpb.Value, kind rpc.Kind) (string, error) {
	var buf bytes.Buffer
	enc := jsontext.NewEncoder(&buf)
	if err := writeValue(enc, v, "", kind); err != nil {
		return "", describe(err, kind)
	}
	return text(bytes.TrimRight(buf.Bytes(), "\n")), nil
}

func writeValue(enc *jsontext.Encoder, v *structpb.Value, path string, kind rpc.Kind) error {
	switch k := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return enc.WriteToken(jsontext.Bool(k.BoolValue))
	case *structpb.Value_StringValue:
		return enc.WriteToken(jsontext.String(k.StringValue))
	case *structpb.Value_NumberValue:
		return writeNumber(enc, k.NumberValue, path, kind)
	case *structpb.Value_ListValue:
		return writeList(enc, k.ListValue, path, kind)
	case *structpb.Value_StructValue:
		return writeStruct(enc, k.StructValue, path, kind)
	default:
		return enc.WriteToken(jsontext.Null)
	}
}

func writeNumber(enc *jsontext.Encoder, f float64, path string, kind rpc.Kind) error {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return inexact(path, kind, fmt.Sprintf("%v is not a JSON number", f))
	case f == math.Trunc(f) && math.Abs(f) > maxSafe:
		return inexact(path, kind, unsafeInteger(strconv.FormatFloat(f, 'g', -1, 64)))
	case f == math.Trunc(f):
		return enc.WriteToken(jsontext.Int(int64(f)))
	default:
		return enc.WriteToken(jsontext.Float(f))
	}
}

func writeList(enc *jsontext.Encoder, list *structpb.ListValue, path string, kind rpc.Kind) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for i, item := range list.GetValues() {
		if err := writeValue(enc, item, path+"/"+strconv.Itoa(i), kind); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

func writeStruct(enc *jsontext.Encoder, object *structpb.Struct, path string, kind rpc.Kind) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for name, member := range object.GetFields() {
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := writeValue(enc, member, path+"/"+escape(name), kind); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// ToValue returns JSON text as a protobuf value. An integer that a double cannot hold safely is an error of kind that
// names its path.
func ToValue(s string, kind rpc.Kind) (*structpb.Value, error) {
	dec := jsontext.NewDecoder(strings.NewReader(s))
	v, err := readValue(dec, kind)
	if err != nil {
		return nil, describe(err, kind)
	}
	return v, nil
}

func readValue(dec *jsontext.Decoder, kind rpc.Kind) (*structpb.Value, error) {
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
		return readNumber(tok.String(), string(dec.StackPointer()), kind)
	case '[':
		return readList(dec, kind)
	case '{':
		return readStruct(dec, kind)
	default:
		return structpb.NewNullValue(), nil
	}
}

func readNumber(literal, path string, kind rpc.Kind) (*structpb.Value, error) {
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return nil, inexact(path, kind, literal+" is out of a double's range")
	}
	if !strings.ContainsAny(literal, ".eE") && math.Abs(f) > maxSafe {
		return nil, inexact(path, kind, unsafeInteger(literal))
	}
	return structpb.NewNumberValue(f), nil
}

func readList(dec *jsontext.Decoder, kind rpc.Kind) (*structpb.Value, error) {
	list := &structpb.ListValue{}
	for dec.PeekKind() != ']' {
		item, err := readValue(dec, kind)
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, item)
	}
	_, err := dec.ReadToken()
	return structpb.NewListValue(list), err
}

func readStruct(dec *jsontext.Decoder, kind rpc.Kind) (*structpb.Value, error) {
	object := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if object.Fields[key], err = readValue(dec, kind); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return structpb.NewStructValue(object), err
}

func unsafeInteger(literal string) string {
	return literal + " is beyond 2^53 - 1, where the numbers of a protobuf value stop being exact: send it as `json`, or as a string"
}

func inexact(path string, kind rpc.Kind, message string) error {
	if path != "" {
		message = "at " + path + ": " + message
	}
	return &rpc.Error{Kind: kind, Path: path, Message: message}
}

// escape writes a name as a part of a JSON pointer (RFC 6901).
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
