package payload

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// argument is one keyword argument of a struct.
type argument struct {
	name     string
	index    []int
	optional bool // an Opt
	nullable bool // null has a meaning for its type
	typ      reflect.Type
}

// plan is what there is to know about a struct of arguments; it is made once for each type.
type plan struct {
	args   []argument
	byName map[string]int
	extra  []int // index of the embedded Extra, nil if there is none
	// plain: the struct can be written by the JSON library as it stands.
	plain bool
}

var (
	plans        sync.Map // reflect.Type -> *plan or error
	extraType    = reflect.TypeFor[Extra]()
	rawType      = reflect.TypeFor[Raw]()
	optionalType = reflect.TypeFor[optional]()
)

func planOf(t reflect.Type) (*plan, error) {
	made, ok := plans.Load(t)
	if !ok {
		p := &plan{byName: map[string]int{}, plain: true}
		if err := p.add(t, nil); err != nil {
			made = err
		} else {
			made = p
		}
		plans.Store(t, made)
	}
	if err, bad := made.(error); bad {
		return nil, err
	}
	return made.(*plan), nil
}

// add plans the fields of t, which is embedded at index.
func (p *plan) add(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type == extraType:
			p.extra, p.plain = at, false
			continue
		case f.Anonymous && f.Type.Kind() == reflect.Struct && name == "":
			if err := p.add(f.Type, at); err != nil {
				return err
			}
			continue
		case !f.IsExported() || (name == "-" && !tagged):
			continue
		case name == "":
			name = f.Name
		}
		if _, twice := p.byName[name]; twice {
			return &rpc.Error{Kind: rpc.Invalid, Message: fmt.Sprintf("%v has two fields for the argument %q", t, name)}
		}
		p.addField(f, name, at)
		p.plain = p.plain && options == ""
	}
	return nil
}

func (p *plan) addField(f reflect.StructField, name string, at []int) {
	a := argument{name: name, index: at, typ: f.Type}
	if reflect.PointerTo(f.Type).Implements(optionalType) {
		a.optional, p.plain = true, false
		a.typ = reflect.TypeOf(reflect.New(f.Type).Interface().(optional).target()).Elem()
	}
	a.nullable = nullable(a.typ)
	p.byName[name] = len(p.args)
	p.args = append(p.args, a)
}

// nullable reports whether null can be told from the zero value of t.
func nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	default:
		return t == rawType || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
	}
}

// MarshalArgs returns keyword arguments as the text of a JSON object. They are nil for none, a struct whose JSON names
// are the names of the arguments (or a pointer to one), a map with string keys, or [Raw].
func MarshalArgs(args any) (string, error) {
	switch a := args.(type) {
	case nil:
		return "{}", nil
	case Raw:
		return string(a), nil
	}
	v := reflect.ValueOf(args)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct:
		return marshalStruct(v)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		if v.IsNil() {
			return "{}", nil
		}
		return Marshal(args, rpc.BadArguments)
	default:
		return "", &rpc.Error{Kind: rpc.BadArguments, Message: fmt.Sprintf(
			"arguments must be nil, a struct, a map with string keys or Raw, not %T", args)}
	}
}

func marshalStruct(v reflect.Value) (string, error) {
	p, err := planOf(v.Type())
	if err != nil {
		return "", err
	}
	if p.plain {
		return Marshal(v.Interface(), rpc.BadArguments)
	}
	if !v.CanAddr() {
		addressable := reflect.New(v.Type()).Elem()
		addressable.Set(v)
		v = addressable
	}
	var buf bytes.Buffer
	enc := jsontext.NewEncoder(&buf, marshalOptions)
	if err := p.write(enc, v); err != nil {
		return "", describe(err, rpc.BadArguments)
	}
	return text(bytes.TrimRight(buf.Bytes(), "\n")), nil
}

func (p *plan) write(enc *jsontext.Encoder, v reflect.Value) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, a := range p.args {
		field := v.FieldByIndex(a.index).Addr().Interface()
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
		extra := v.FieldByIndex(p.extra).Interface().(Extra)
		for name, value := range extra {
			if err := writeMember(enc, name, value); err != nil {
				return err
			}
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func writeMember(enc *jsontext.Encoder, name string, value any) error {
	if err := enc.WriteToken(jsontext.String(name)); err != nil {
		return err
	}
	return json.MarshalEncode(enc, value)
}

// UnmarshalArgs reads the text of a JSON object into the arguments that dst points to: a struct, a map with string keys, or Raw.
// Into a struct, names are matched exactly; a plain field must be there, an [Opt] may be absent, and an embedded [Extra]
// takes what has no field.
func UnmarshalArgs(s string, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	if v.Kind() != reflect.Struct {
		if err := wantObject(s); err != nil {
			return err
		}
		return Unmarshal(s, dst, rpc.BadArguments)
	}
	p, err := planOf(v.Type())
	if err != nil {
		return err
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer([]byte(s)), unmarshalOptions)
	if dec.PeekKind() != '{' {
		return wantObject(s)
	}
	if err := p.read(dec, v); err != nil {
		return describe(err, rpc.BadArguments)
	}
	if rest := s[dec.InputOffset():]; strings.TrimLeft(rest, " \t\r\n") != "" {
		return &rpc.Error{Kind: rpc.BadArguments, Message: "malformed JSON: something follows the object of arguments"}
	}
	return nil
}

// wantObject returns an error unless s looks like a JSON object.
func wantObject(s string) error {
	trimmed := strings.Trim(s, " \t\r\n")
	if strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}") {
		return nil
	}
	what := kindWord(jsontext.Value(trimmed).Kind())
	return &rpc.Error{Kind: rpc.BadArguments, Message: "the arguments must be a JSON object with one entry an argument, not " + article(what)}
}

func article(word string) string {
	switch word {
	case "null", "something malformed":
		return word
	case "array", "object":
		return "an " + word
	default:
		return "a " + word
	}
}

func (p *plan) read(dec *jsontext.Decoder, v reflect.Value) error {
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
			err = p.args[i].read(dec, v)
		case p.extra != nil:
			err = readExtra(dec, v.FieldByIndex(p.extra), name.String())
		default:
			return p.unknown(name.String())
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return p.missing(seen)
}

func (a *argument) read(dec *jsontext.Decoder, v reflect.Value) error {
	if dec.PeekKind() == 'n' && !a.nullable {
		return &rpc.Error{Kind: rpc.BadArguments, Path: "/" + a.name, Message: fmt.Sprintf(
			"at /%s: wanted %s, got null", a.name, typeWord(a.typ))}
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

func (p *plan) unknown(name string) error {
	return &rpc.Error{Kind: rpc.BadArguments, Path: "/" + name, Message: fmt.Sprintf(
		"there is no argument %q; the method takes %s", name, p.signature())}
}

func (p *plan) missing(seen []bool) error {
	var names []string
	for i, a := range p.args {
		if !seen[i] && !a.optional {
			names = append(names, fmt.Sprintf("%q", a.name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	word := "argument "
	if len(names) > 1 {
		word = "arguments "
	}
	return &rpc.Error{Kind: rpc.BadArguments, Message: "missing " + word + strings.Join(names, ", ") + "; the method takes " + p.signature()}
}

// signature lists the arguments for people, such as "a (integer), b (string, optional)".
func (p *plan) signature() string {
	words := make([]string, 0, len(p.args))
	for _, a := range p.args {
		w := a.name + " (" + typeWord(a.typ)
		if a.optional {
			w += ", optional"
		}
		words = append(words, w+")")
	}
	if len(words) == 0 {
		return "no arguments"
	}
	return strings.Join(words, ", ")
}
