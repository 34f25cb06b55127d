package payload

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

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

// plan describes a struct of arguments. It is made once for each type.
type plan struct {
	args   []argument
	byName map[string]int
	extra  []int // index of the embedded Extra, nil if there is none
	// plain is true if the JSON library can write the struct without the plan.
	plain bool
}

var (
	plans        sync.Map // reflect.Type -> *plan, or *rpc.Error
	extraType    = reflect.TypeFor[Extra]()
	rawType      = reflect.TypeFor[Raw]()
	bigType      = reflect.TypeFor[big.Int]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	optionalType = reflect.TypeFor[optional]()
	catcherType  = reflect.TypeFor[catcher]()
)

func planOf(t reflect.Type) (*plan, error) {
	made, ok := plans.Load(t)
	if !ok {
		made = newPlan(t)
		plans.Store(t, made)
	}
	if bad, is := made.(*rpc.Error); is {
		mine := *bad // callers change their errors
		return nil, &mine
	}
	return made.(*plan), nil
}

// newPlan returns a *plan, or an *rpc.Error.
func newPlan(t reflect.Type) any {
	p := &plan{byName: map[string]int{}, plain: true}
	if err := p.add(t, nil); err != nil {
		return &rpc.Error{Kind: rpc.Invalid, Message: shorten(t.String()) + " cannot hold arguments: " + err.Error()}
	}
	p.plain = p.plain && len(p.args) > 0 // the library refuses a struct without fields for JSON
	return p
}

// add adds the fields of t to the plan. Index is the index of the embedded field whose type is t;
// nil for the outermost struct.
func (p *plan) add(t reflect.Type, index []int) error {
	if ownJSON(t) {
		return fmt.Errorf("%v, or a type that it embeds, has its own JSON or text methods: use a struct without them, a map or Raw", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		tag, tagged := f.Tag.Lookup("json")
		name, options, more := strings.Cut(tag, ",")
		var err error
		switch {
		case tag == "-":
		case more && (options != "omitzero" || !isOptional(f.Type)):
			err = fmt.Errorf("its field %s has the tag option %q, which has no meaning here: an argument is sent as it is, "+
				"and required unless it is an Opt", f.Name, options)
		case f.Anonymous && name == "":
			err = p.embed(f, at)
		case !f.IsExported() && tagged:
			err = fmt.Errorf("its field %s has a JSON name but is not exported", f.Name)
		case !f.IsExported():
		default:
			err = p.addField(f, name, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) embed(f reflect.StructField, at []int) error {
	switch {
	case f.Type == extraType && f.IsExported():
		if p.extra != nil {
			return fmt.Errorf("it embeds Extra twice")
		}
		p.extra, p.plain = at, false
		return nil
	case f.Type.Kind() == reflect.Struct:
		return p.add(f.Type, at)
	default:
		return fmt.Errorf("it embeds %s, which is neither a struct nor Extra: give it a JSON name, or embed the struct itself "+
			"and not a pointer", f.Name)
	}
}

func (p *plan) addField(f reflect.StructField, name string, at []int) error {
	if name == "" {
		name = f.Name
	}
	if strings.ContainsAny(name, "\\'\"`") || !utf8.ValidString(name) {
		return fmt.Errorf("its field %s has the JSON name %q: quotes, backslashes and bytes that are not UTF-8 are not allowed", f.Name, name)
	}
	if _, twice := p.byName[name]; twice {
		return fmt.Errorf("it has two fields for the argument %q", name)
	}
	a := argument{name: name, index: at, typ: f.Type}
	if isOptional(f.Type) {
		a.optional, p.plain = true, false
		a.typ = reflect.TypeOf(reflect.New(f.Type).Interface().(optional).target()).Elem()
	}
	if err := (able{}).check(a.typ, ""); err != nil {
		return fmt.Errorf("its argument %q %w", name, err)
	}
	a.nullable = nullable(a.typ)
	p.byName[name] = len(p.args)
	p.args = append(p.args, a)
	return nil
}

func isOptional(t reflect.Type) bool { return reflect.PointerTo(t).Implements(optionalType) }

// nullable reports whether a value of type t can represent null.
func nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	}
	return t != bigType && t != timeType && (implements[json.Unmarshaler](t) || implements[json.UnmarshalerFrom](t))
}

// ownJSON reports whether a type has its own encoding or decoding, so that its fields do not
// determine its JSON.
func ownJSON(t reflect.Type) bool {
	return implements[json.Marshaler](t) || implements[json.MarshalerTo](t) ||
		implements[json.Unmarshaler](t) || implements[json.UnmarshalerFrom](t) ||
		implements[encoding.TextMarshaler](t) || implements[encoding.TextAppender](t) || implements[encoding.TextUnmarshaler](t)
}

// signature lists the arguments for error texts, such as "a (integer), b (string, optional)".
func (p *plan) signature() string {
	words := make([]string, 0, len(p.args)+1)
	for _, a := range p.args {
		w := a.name + " (" + typeWord(a.typ)
		if a.optional {
			w += ", optional"
		}
		words = append(words, w+")")
	}
	if p.extra != nil {
		words = append(words, "any others")
	}
	if len(words) == 0 {
		return "no arguments"
	}
	return strings.Join(words, ", ")
}
