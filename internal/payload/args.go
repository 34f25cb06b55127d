package payload

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/internal/similar"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// MarshalArgs returns keyword arguments as the text of a JSON object. The arguments are nil for
// none, a struct whose JSON names are the names of the arguments, a map with string keys, [Raw], or
// a pointer to one of these.
func MarshalArgs(args any) (string, error) {
	switch a := args.(type) {
	case nil:
		return "{}", nil
	case Raw:
		return string(a), nil
	}
	v := reflect.ValueOf(args)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Type() == rawType:
		return v.String(), nil
	case v.Kind() == reflect.Struct:
		return marshalStruct(v)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		if v.IsNil() {
			return "{}", nil
		}
		return Marshal(v.Interface(), rpc.BadArguments)
	}
	what := fmt.Sprintf("%T", args)
	if v.Kind() == reflect.Pointer {
		what = "a nil " + what
	}
	return "", &rpc.Error{Kind: rpc.BadArguments, Message: "arguments must be nil, a struct, a map with string keys or Raw, not " + what}
}

func marshalStruct(v reflect.Value) (string, error) {
	p, err := planOf(v.Type())
	if err != nil {
		return "", err
	}
	if text, ok := writeDirect(v); ok {
		return text, nil
	}
	if p.plain {
		return Marshal(v.Interface(), rpc.BadArguments)
	}
	if !v.CanAddr() {
		addressable := reflect.New(v.Type()).Elem()
		addressable.Set(v)
		v = addressable
	}
	return Marshal(planned{p, v}, rpc.BadArguments)
}

// planned is a struct of arguments with its plan. Its methods make the JSON library encode and
// decode the struct by the plan.
type planned struct { //nolint:recvcheck // the library writes a value and reads into a pointer
	*plan
	v reflect.Value
}

// MarshalJSONTo writes the arguments.
func (p planned) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, a := range p.args {
		field := p.v.FieldByIndex(a.index).Addr().Interface()
		if a.optional {
			o := field.(optional)
			if !o.present() {
				continue
			}
			field = o.target()
		}
		if err := writeMember(enc, a.name, field); err != nil {
			return err
		}
	}
	if p.extra != nil {
		if err := p.writeExtra(enc); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func (p planned) writeExtra(enc *jsontext.Encoder) error {
	extra := p.v.FieldByIndex(p.extra).Interface().(Extra)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if _, known := p.byName[name]; known {
			return &problem{path: member(enc, name), message: "it is in Extra, but has a field of its own: set the field"}
		}
		if err := writeMember(enc, name, extra[name]); err != nil {
			return err
		}
	}
	return nil
}

// member returns the path of a member of the object that is being written.
func member(enc *jsontext.Encoder, name string) string {
	at := enc.StackPointer()
	if _, n := enc.StackIndex(enc.StackDepth()); n > 0 {
		at = at.Parent() // the pointer leads to the previous member
	}
	return string(at.AppendToken(name))
}

func writeMember(enc *jsontext.Encoder, name string, value any) error {
	if err := enc.WriteToken(jsontext.String(name)); err != nil {
		return err
	}
	return json.MarshalEncode(enc, value)
}

// UnmarshalArgs parses the text of a JSON object into the arguments that dst points to: a struct, a
// map with string keys, or Raw. For a struct, names must match exactly. A plain field must be
// present, an [Opt] may be absent or null, and an embedded [Extra] takes all members that have no
// field. The same rules apply to nested structs, where fields with the tag omitzero or omitempty
// may be absent, too.
func UnmarshalArgs(s string, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if err := wantObject(s); err != nil {
		return err
	}
	if v.Kind() == reflect.Struct && readDirect(s, v) {
		return nil
	}
	if err := unmarshalArgs(s, v); err != nil {
		return err
	}
	if shape := shapeOf(v.Type()); shape != nil && shape.nests {
		if err := shape.checkArgs(s); err != nil {
			return describe(err, rpc.BadArguments, unreadable)
		}
	}
	return nil
}

func unmarshalArgs(s string, v reflect.Value) error {
	if v.Kind() != reflect.Struct {
		return Unmarshal(s, v.Addr().Interface(), rpc.BadArguments)
	}
	p, err := planOf(v.Type())
	if err != nil {
		return err
	}
	return Unmarshal(s, &planned{p, v}, rpc.BadArguments)
}

// wantObject returns an error unless s begins like a JSON object.
func wantObject(s string) error {
	s = strings.TrimLeft(s, " \t\r\n")
	if strings.HasPrefix(s, "{") {
		return nil
	}
	what := "something malformed"
	if s == "" {
		what = "nothing"
	} else if v := jsontext.Value(s); v.IsValid() {
		what = article(kindWord(v.Kind()))
	}
	return &rpc.Error{Kind: rpc.BadArguments, Message: "the arguments must be a JSON object, with an entry for each, not " + what}
}

func article(word string) string {
	switch word {
	case wordNull:
		return word
	case wordArray:
		return "an " + word
	default:
		return "a " + word
	}
}

// UnmarshalJSONFrom reads the arguments.
func (p *planned) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	var few [16]bool
	seen := few[:]
	if len(p.args) > len(few) {
		seen = make([]bool, len(p.args))
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		i, known := p.byName[name.String()]
		switch {
		case known:
			seen[i] = true
			err = p.args[i].read(dec, p.v)
		case p.extra != nil:
			err = readExtra(dec, p.v.FieldByIndex(p.extra), name.String())
		default:
			return p.unknown(dec.StackPointer(), name.String())
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return p.missing(dec, seen)
}

func (a *argument) read(dec *jsontext.Decoder, v reflect.Value) error {
	if dec.PeekKind() == 'n' && !a.nullable {
		if a.optional { // Python programs send None for an argument that is not given
			return dec.SkipValue()
		}
		return &problem{path: string(dec.StackPointer()), message: fmt.Sprintf("wanted %s, got null", typeWord(a.typ))}
	}
	field := v.FieldByIndex(a.index).Addr().Interface()
	if a.optional {
		field = field.(optional).target()
	}
	return json.UnmarshalDecode(dec, field)
}

func readExtra(dec *jsontext.Decoder, extra reflect.Value, name string) error {
	var value any
	if err := json.UnmarshalDecode(dec, &value); err != nil {
		return err
	}
	if extra.IsNil() {
		extra.Set(reflect.ValueOf(Extra{}))
	}
	extra.Interface().(Extra)[name] = value
	return nil
}

// unknown returns the error for an unknown argument or, within a nested struct, an unknown member.
func (p *plan) unknown(at jsontext.Pointer, name string) error {
	var known []string
	for _, a := range p.args {
		known = append(known, a.name)
	}
	if within := at.Parent(); within != "" {
		return &problem{path: string(at), message: fmt.Sprintf("there is no member %.64q%s", name,
			similar.DidYouMean(name, known, "the object has "+p.signature()))}
	}
	return &problem{path: string(at), bare: true, message: fmt.Sprintf(
		"there is no argument %.64q%s", name, similar.DidYouMean(name, known, "the method takes "+p.signature()))}
}

func (p *plan) missing(dec *jsontext.Decoder, seen []bool) error {
	var names []string
	for i, a := range p.args {
		if !seen[i] && !a.optional {
			names = append(names, fmt.Sprintf("%q", a.name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	at, word, has := dec.StackPointer(), "argument ", "; the method takes "
	if at != "" {
		word, has = "member ", "; the object has "
	}
	if len(names) > 1 {
		word = strings.TrimSpace(word) + "s "
	}
	return &problem{path: string(at), message: "missing " + word + strings.Join(names, ", ") + has + p.signature()}
}
