package payload

import (
	"maps"
	"math"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The functions in this file encode and decode trees of untyped values (any). The JSON library
// could do that, but since it has custom functions, such as those for numbers, it would use
// reflection for every value, which takes twice as long.

func writeMap(enc *jsontext.Encoder, m map[string]any) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := writeUntyped(enc, m[name]); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func writeSlice(enc *jsontext.Encoder, items []any) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, item := range items {
		if err := writeUntyped(enc, item); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

func writeUntyped(enc *jsontext.Encoder, v any) error {
	switch v := v.(type) {
	case nil:
		return enc.WriteToken(jsontext.Null)
	case bool:
		return enc.WriteToken(jsontext.Bool(v))
	case string:
		return enc.WriteToken(jsontext.String(v))
	case int:
		return enc.WriteToken(jsontext.Int(int64(v)))
	case int64:
		return enc.WriteToken(jsontext.Int(v))
	case float64:
		switch {
		case isIntegral(v):
			return writeIntegral(enc, v, 64)
		case math.IsNaN(v) || math.IsInf(v, 0):
			return json.MarshalEncode(enc, v) // the library returns the error
		}
		return enc.WriteToken(jsontext.Float(v))
	case map[string]any:
		return writeMap(enc, v)
	case []any:
		return writeSlice(enc, v)
	default:
		return json.MarshalEncode(enc, v)
	}
}

// readUntyped parses a value for an untyped Go variable; see [number] for numbers.
func readUntyped(dec *jsontext.Decoder, dst *any) (err error) {
	*dst, err = readTree(dec)
	return err
}

func readTree(dec *jsontext.Decoder) (any, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case 't', 'f':
		return tok.Bool(), nil
	case '"':
		return tok.String(), nil
	case '0':
		return number(dec, tok.String())
	case '[':
		return readSlice(dec)
	case '{':
		return readMap(dec)
	default:
		return nil, nil
	}
}

func readSlice(dec *jsontext.Decoder) (any, error) {
	items := []any{}
	for dec.PeekKind() != ']' {
		item, err := readTree(dec)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := dec.ReadToken()
	return items, err
}

func readMap(dec *jsontext.Decoder) (any, error) {
	m := map[string]any{}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := tok.String()
		if m[name], err = readTree(dec); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return m, err
}
