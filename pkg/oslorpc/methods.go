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
	names map[string]string
	marks map[string][]func(Method) Method
}

type methodsOption func(*methodsConfig)

func (o methodsOption) applyMethods(c *methodsConfig) { o(c) }

func newMethodsConfig(options []MethodsOption) *methodsConfig {
	c := &methodsConfig{names: map[string]string{}, marks: map[string][]func(Method) Method{}}
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
		name = snakeCase(goName)
	}
	for _, mark := range c.marks[goName] {
		m = mark(m)
	}
	delete(c.names, goName)
	delete(c.marks, goName)
	return name, m
}

// missing returns the methods that options named and that were not found.
func (c *methodsConfig) missing() []string {
	return slices.Concat(slices.Collect(maps.Keys(c.names)), slices.Collect(maps.Keys(c.marks)))
}

// Name gives a Go method another name for messages than its own in snake case.
func Name(method, name string) MethodsOption {
	return methodsOption(func(c *methodsConfig) { c.names[method] = name })
}

// ExposeMethods marks Go methods as [Expose] does.
func ExposeMethods(methods ...string) MethodsOption {
	return markMethods(methods, Expose)
}

// Methods returns the exported methods of v that have the shape of an RPC, under their names in snake case:
// GetNetworkInfo is get_network_info, and MyRemoteMethod2 is my_remote_method2 unless [Name] says otherwise. The shapes are
// those of [Func] and [Stream], with or without arguments and result:
//
//	func (v V) M(ctx context.Context, args A) (R, error)
//	func (v V) M(ctx context.Context, args A) error
//	func (v V) M(ctx context.Context, args A) iter.Seq2[T, error]
//
// Other methods are left out. A v without any, and an option for a method that is not there or has another shape, is an error
// at the server's start. A call costs a microsecond more than one of a method made with [Func], for Go's reflection.
func Methods(v any, options ...MethodsOption) map[string]Method {
	config := newMethodsConfig(options)
	methods := map[string]Method{}
	value := reflect.ValueOf(v)
	if !value.IsValid() {
		return map[string]Method{"": {err: invalidUse("Methods was given nil")}}
	}
	for i := range value.NumMethod() {
		goName := value.Type().Method(i).Name
		m, ok := reflectMethod(value.Method(i))
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

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	noArgsType  = reflect.TypeFor[NoArgs]()
)

// reflectMethod makes a method of a Go method value, if it has the shape of one.
func reflectMethod(f reflect.Value) (Method, bool) {
	t := f.Type()
	if t.NumIn() < 1 || t.NumIn() > 2 || t.In(0) != contextType || t.IsVariadic() {
		return Method{}, false
	}
	args := noArgsType
	if t.NumIn() == 2 {
		if args = t.In(1); !isArgs(args) {
			return Method{}, false
		}
	}
	result, streaming, ok := reflectResult(t)
	if !ok {
		return Method{}, false
	}
	r := reflected{f: f, args: args, takesArgs: t.NumIn() == 2, streaming: streaming}
	return newMethod(args, result, streaming, r.bind), true
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

// snakeCase returns a Go name in snake case; a run of capitals is one word, so that GetHTTPInfo is get_http_info.
func snakeCase(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			afterLower := !unicode.IsUpper(runes[i-1])
			beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if (afterLower || beforeLower) && runes[i-1] != '_' {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
