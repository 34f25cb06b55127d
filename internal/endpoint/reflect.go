package endpoint

import (
	"context"
	"reflect"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/payload"
)

// methodOf makes a method from a Go method. If the Go method seems to be intended but has the wrong
// signature, the method is broken. Ok is false for Go methods that are left out.
func methodOf(v reflect.Value, i int) (m Method, ok bool) {
	f, goName := v.Method(i), v.Type().Method(i).Name
	m, flaw := reflectMethod(f)
	switch {
	case flaw == "":
		return m, true
	case !takesContext(f.Type()), isForeign(v.Type(), goName):
		return Method{}, false
	}
	return Method{err: failure.Invalid("%v has a method %s that cannot be served, a %v: %s. The shapes are func(context.Context, args) "+
		"(result, error), func(context.Context, args) error and func(context.Context, args) iter.Seq2[item, error], with or without "+
		"args. Change it, or leave it out with Omit(%q)", v.Type(), goName, f.Type(), flaw, goName)}, true
}

func takesContext(f reflect.Type) bool {
	for in := range f.Ins() {
		if in == contextType {
			return true
		}
	}
	return false
}

// isForeign reports whether a type has a method only because it embeds a type of another package.
// It returns false for a type without a name, which belongs to no package.
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
			in = reflect.PointerTo(in) // its method set includes the methods of the value
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
	noArgsType  = reflect.TypeFor[struct{}]()
)

// reflectMethod makes a method from a Go method value, or says why its signature is not suitable.
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

// reflectResult returns the type of a method's result or items, or nil if it only returns an error.
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
			return drainReflected(ctx, out[0], emit)
		}
		if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
			return &dispatch.MethodError{Err: err}
		}
		if len(out) == 1 {
			return emit("null")
		}
		return emitValue(ctx, emit, out[0].Interface())
	}, nil
}

// drainReflected emits the items of an iter.Seq2[T, error].
func drainReflected(ctx context.Context, seq reflect.Value, emit dispatch.Emit) (err error) {
	yield := reflect.MakeFunc(seq.Type().In(0), func(in []reflect.Value) []reflect.Value {
		if failure, _ := reflect.TypeAssert[error](in[1]); failure != nil {
			err = &dispatch.MethodError{Err: failure}
		} else {
			err = emitValue(ctx, emit, in[0].Interface())
		}
		return []reflect.Value{reflect.ValueOf(err == nil)}
	})
	seq.Call([]reflect.Value{yield})
	return err
}
