package oslorpc

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
)

// MethodsOption changes what [Methods] makes of a struct.
type MethodsOption interface{ applyMethods(*methodsConfig) }

// methodsConfig is what options say of methods, by their Go names.
type methodsConfig struct {
	names   map[string]string
	marks   map[string][]func(Method) Method
	omitted map[string]bool
	// digits: a run of digits is a word.
	digits bool
}

type methodsOption func(*methodsConfig)

func (o methodsOption) applyMethods(c *methodsConfig) { o(c) }

func newMethodsConfig(options []MethodsOption) *methodsConfig {
	c := &methodsConfig{names: map[string]string{}, marks: map[string][]func(Method) Method{}, omitted: map[string]bool{}}
	for _, o := range options {
		o.applyMethods(c)
	}
	return c
}

// mark adds a change to what is made of a Go method.
func (c *methodsConfig) mark(goName string, change func(Method) Method) {
	c.marks[goName] = append(c.marks[goName], change)
}

// markMethods adds a change to what is made of Go methods.
func markMethods(methods []string, mark func(Method) Method) MethodsOption {
	return methodsOption(func(c *methodsConfig) {
		for _, method := range methods {
			c.mark(method, mark)
		}
	})
}

// take returns the name and the marks of a method; it then counts as found.
func (c *methodsConfig) take(goName string, m Method) (string, Method) {
	name, renamed := c.names[goName]
	if !renamed {
		name = snakeCase(goName, c.digits)
	}
	for _, mark := range c.marks[goName] {
		m = mark(m)
	}
	delete(c.names, goName)
	delete(c.marks, goName)
	return name, m
}

// omits reports whether a method is left out; it then counts as found.
func (c *methodsConfig) omits(goName string) bool {
	omitted := c.omitted[goName]
	delete(c.omitted, goName)
	return omitted
}

// missing returns the methods that options named and that were not found.
func (c *methodsConfig) missing() []string {
	return slices.Concat(slices.Collect(maps.Keys(c.names)), slices.Collect(maps.Keys(c.marks)), slices.Collect(maps.Keys(c.omitted)))
}

// Name gives a Go method another name for messages than its own in snake case.
func Name(method, name string) MethodsOption {
	return methodsOption(func(c *methodsConfig) { c.names[method] = name })
}

// DigitsAsWords makes a run of digits in a Go name a word of its own: MyRemoteMethod2 is
// my_remote_method_2, and not my_remote_method2. [Name] has precedence.
func DigitsAsWords() MethodsOption {
	return methodsOption(func(c *methodsConfig) { c.digits = true })
}

// OmitMethods leaves Go methods out, whatever their shape. Use it for helpers that are exported
// for other reasons.
func OmitMethods(methods ...string) MethodsOption {
	return methodsOption(func(c *methodsConfig) {
		for _, method := range methods {
			c.omitted[method] = true
		}
	})
}

// ExposeMethods marks Go methods as [Expose] does.
func ExposeMethods(methods ...string) MethodsOption {
	return markMethods(methods, Expose)
}

// Methods returns the exported methods of v that have the shape of an RPC, under their names in
// snake case: GetNetworkInfo is get_network_info. MyRemoteMethod2 is my_remote_method2, unless
// [Name] or [DigitsAsWords] says otherwise. The shapes are the shapes of [Func] and [Stream], with
// or without arguments and result:
//
//	func (v V) M(ctx context.Context, args A) (R, error)
//	func (v V) M(ctx context.Context, args A) error
//	func (v V) M(ctx context.Context, args A) iter.Seq2[T, error]
//
// A method that takes a context and has another shape is an error at the server's start, which
// names the method, unless [OmitMethods] leaves it out or v has it from an embedded type of
// another package. Methods without a context are left out. It is also an error at the start if v
// has no method of the shape, or if an option names a method that does not exist or has another
// shape. Go's reflection makes a call a microsecond slower than with [Func].
func Methods(v any, options ...MethodsOption) map[string]Method {
	config := newMethodsConfig(options)
	methods := map[string]Method{}
	value := reflect.ValueOf(v)
	if !value.IsValid() {
		return map[string]Method{"": {err: invalidUse("Methods was given nil")}}
	}
	for i := range value.NumMethod() {
		goName := value.Type().Method(i).Name
		if config.omits(goName) {
			continue
		}
		m, ok := methodOf(value, i)
		if !ok {
			continue
		}
		name, m := config.take(goName, m)
		if _, twice := methods[name]; twice {
			m = Method{err: invalidUse("%T has two methods that are named %q: rename one with Name", v, name)}
		}
		methods[name] = m
	}
	if len(methods) == 0 {
		return map[string]Method{"": {err: invalidUse("%T has no method that has the shape of an RPC; a pointer to it may have", v)}}
	}
	for _, goName := range config.missing() {
		methods[goName] = Method{err: invalidUse("%T has no method %s that has the shape of an RPC", v, goName)}
	}
	return methods
}

// methodOf makes a method of a Go method. One that seems to be meant as a method but has another
// shape is broken; ok is false for Go methods that are left out.
func methodOf(v reflect.Value, i int) (m Method, ok bool) {
	f, goName := v.Method(i), v.Type().Method(i).Name
	m, flaw := reflectMethod(f)
	switch {
	case flaw == "":
		return m, true
	case !takesContext(f.Type()), isForeign(v.Type(), goName):
		return Method{}, false
	}
	return Method{err: invalidUse("%v has a method %s that cannot be served, a %v: %s. The shapes are func(context.Context, args) "+
		"(result, error), func(context.Context, args) error and func(context.Context, args) iter.Seq2[item, error], with or without "+
		"args. Change it, or leave it out with OmitMethods(%q)", v.Type(), goName, f.Type(), flaw, goName)}, true
}

func takesContext(f reflect.Type) bool {
	for in := range f.Ins() {
		if in == contextType {
			return true
		}
	}
	return false
}

// isForeign reports whether a type has a method because it embeds a type of another package. A
// type without a name is of no package.
func isForeign(t reflect.Type, method string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == "" {
		return false
	}
	for f := range t.Fields() {
		if !f.Anonymous {
			continue
		}
		in := f.Type
		if in.Kind() != reflect.Pointer && in.Kind() != reflect.Interface {
			in = reflect.PointerTo(in) // has the methods of both
		}
		if _, has := in.MethodByName(method); !has {
			continue
		}
		named := in
		if in.Kind() == reflect.Pointer {
			named = in.Elem()
		}
		return named.PkgPath() != t.PkgPath() || isForeign(in, method)
	}
	return false
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	noArgsType  = reflect.TypeFor[NoArgs]()
)

// reflectMethod makes a method of a Go method value, or says why it does not have the shape of
// one.
func reflectMethod(f reflect.Value) (m Method, flaw string) {
	t := f.Type()
	if t.NumIn() < 1 || t.In(0) != contextType {
		return Method{}, "its first parameter must be a context.Context"
	}
	args := noArgsType
	if t.NumIn() == 2 {
		args = t.In(1)
	}
	if t.NumIn() > 2 || t.IsVariadic() || !isArgs(args) {
		return Method{}, "beside the context it must take one parameter, whose fields are the keyword arguments: " + argsShape
	}
	result, streaming, ok := reflectResult(t)
	if !ok {
		return Method{}, "it must return an error alone, a result and an error, or an iter.Seq2 of items and errors"
	}
	r := reflected{f: f, args: args, takesArgs: t.NumIn() == 2, streaming: streaming}
	return newMethod(args, result, streaming, r.bind), ""
}

// reflectResult returns the type of a method's result or items, nil if it has none but an error.
func reflectResult(t reflect.Type) (result reflect.Type, streaming, ok bool) {
	switch {
	case t.NumOut() == 2 && t.Out(1) == errorType:
		return t.Out(0), false, true
	case t.NumOut() == 1 && t.Out(0) == errorType:
		return nil, false, true
	case t.NumOut() != 1 || t.Out(0).Kind() != reflect.Func:
		return nil, false, false
	}
	seq := t.Out(0)
	if seq.NumIn() != 1 || seq.NumOut() != 0 || seq.In(0).Kind() != reflect.Func {
		return nil, false, false
	}
	yield := seq.In(0)
	if yield.NumIn() != 2 || yield.In(1) != errorType || yield.NumOut() != 1 || yield.Out(0).Kind() != reflect.Bool {
		return nil, false, false
	}
	return yield.In(0), true, true
}

// reflected is a method that is called by reflection.
type reflected struct {
	f         reflect.Value
	args      reflect.Type
	takesArgs bool
	streaming bool
}

func (r reflected) bind(kwargs string) (dispatch.Invocation, error) {
	args := reflect.New(r.args)
	if err := payload.UnmarshalArgs(kwargs, args.Interface()); err != nil {
		return nil, err
	}
	return func(ctx context.Context, emit dispatch.Emit) error {
		in := []reflect.Value{reflect.ValueOf(ctx)}
		if r.takesArgs {
			in = append(in, args.Elem())
		}
		out := r.f.Call(in)
		if r.streaming {
			return drainReflected(out[0], emit)
		}
		if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
			return &dispatch.MethodError{Err: err}
		}
		if len(out) == 1 {
			return emit("null")
		}
		return emitValue(emit, out[0].Interface())
	}, nil
}

// drainReflected emits the items of an iter.Seq2[T, error].
func drainReflected(seq reflect.Value, emit dispatch.Emit) (err error) {
	yield := reflect.MakeFunc(seq.Type().In(0), func(in []reflect.Value) []reflect.Value {
		if failure, _ := reflect.TypeAssert[error](in[1]); failure != nil {
			err = &dispatch.MethodError{Err: failure}
		} else {
			err = emitValue(emit, in[0].Interface())
		}
		return []reflect.Value{reflect.ValueOf(err == nil)}
	})
	seq.Call([]reflect.Value{yield})
	return err
}

// snakeCase returns a Go name in snake case; a run of capitals is one word, so that GetHTTPInfo is
// get_http_info, and a run of digits is one if they are to be words.
func snakeCase(name string, digits bool) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && runes[i-1] != '_' && beginsWord(runes, i, digits) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func beginsWord(runes []rune, i int, digits bool) bool {
	before := runes[i-1]
	if !unicode.IsUpper(runes[i]) {
		return digits && unicode.IsDigit(runes[i]) && unicode.IsLetter(before)
	}
	beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
	return !unicode.IsUpper(before) || beforeLower
}
