package oslorpc

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Endpoint is an interface that a server offers: methods under a version, in a namespace. A server may have several, also
// in one namespace with different versions, and of different major versions; a message goes to the first that is
// compatible and has the method.
type Endpoint struct {
	// Namespace is the interface's name; empty for the null namespace.
	Namespace string
	// LegacyNamespaces are further namespaces that it answers to, such as one that it had before. The empty string is the null namespace.
	LegacyNamespaces []string
	// Version is what it implements, as "major.minor"; empty for 1.0.
	Version string
	// Methods are its methods, by the name that messages ask for. Which of them can be asked for is up to [WithAccessPolicy]: by
	// default, those whose names do not begin with an underscore.
	Methods map[string]Method
	// Fallback takes the methods that are not in Methods, in this endpoint's place in the order, as a proxy does. [MessageFrom]
	// tells it which method it was asked for. Names that begin with an underscore reach it only with [AllowAll], and with
	// [AllowExposed] it must be marked with [Expose]. The zero value is none.
	Fallback Method
	// Since and Deprecated are the versions in which all of it appeared and was deprecated, such as an old namespace; empty if that is not
	// said. They inform, as the marks [Since] and [Deprecated] of a method do.
	Since, Deprecated string
}

// Method is a method of an endpoint. Make one with [Func] or [Stream], or those of a struct with [Methods].
type Method struct {
	impl *dispatch.Method
	err  error
}

// with returns the method with a change; the method itself is not changed. One that is empty or broken stays as it is, and the
// server's start says so.
func (m Method) with(change func(*dispatch.Method)) Method {
	if m.impl == nil {
		return m
	}
	impl := *m.impl
	change(&impl)
	return Method{impl: &impl, err: m.err}
}

// Func makes a method of a function. A is a struct, or a pointer to one, whose JSON names are the
// keyword arguments, matched exactly: a plain field is required (and may be null if it is a
// pointer, map, slice or interface), an [Opt] may be absent or null, and an embedded [Extra] takes
// the rest; [NoArgs] takes none. The tags omitempty and omitzero are refused, as they would leave
// out what is required. A may also be a map with string keys, or [Raw]. R is anything that can be
// JSON. A type that cannot be JSON, such as one with a channel in it, is an error of kind
// [Invalid] at the server's start.
//
// Structs within the arguments, also in lists and maps, are as strict: a member that the struct
// lacks, or that is missing, is an error of kind [BadArguments] with its path. In them, a field
// with the tag omitempty or omitzero may be absent, too. A struct with JSON methods of its own
// decides itself what it accepts.
//
// The function runs on any number of goroutines at once. Its ctx ends when the caller gives up (of a call) or the server is stopped by
// force, and carries the request context. An error that it returns arrives as a [RemoteError],
// and so does a panic, and a runtime.Goexit, which ends only its goroutine.
func Func[A, R any](f func(ctx context.Context, args A) (R, error)) Method {
	if f == nil {
		return Method{err: invalidUse("Func was given nil")}
	}
	return newMethod(reflect.TypeFor[A](), reflect.TypeFor[R](), false, func(kwargs string) (dispatch.Invocation, error) {
		var args A
		if err := payload.UnmarshalArgs(kwargs, &args); err != nil {
			return nil, err
		}
		return func(ctx context.Context, emit dispatch.Emit) error {
			result, err := f(ctx, args)
			if err != nil {
				return &dispatch.MethodError{Err: err}
			}
			return emitValue(emit, result)
		}, nil
	})
}

// Stream makes a method of a function that returns its results one by one. The arguments are as those of [Func]. The sequence
// ends after its first error. When the caller wants no more, ctx ends, and the sequence is not continued.
func Stream[A, T any](f func(ctx context.Context, args A) iter.Seq2[T, error]) Method {
	if f == nil {
		return Method{err: invalidUse("Stream was given nil")}
	}
	return newMethod(reflect.TypeFor[A](), reflect.TypeFor[T](), true, func(kwargs string) (dispatch.Invocation, error) {
		var args A
		if err := payload.UnmarshalArgs(kwargs, &args); err != nil {
			return nil, err
		}
		return func(ctx context.Context, emit dispatch.Emit) error {
			for item, err := range f(ctx, args) {
				if err != nil {
					return &dispatch.MethodError{Err: err}
				}
				if err := emitValue(emit, item); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// emitValue emits one item. That it cannot be JSON is told apart from a failure of the method.
func emitValue(emit dispatch.Emit, v any) error {
	text, err := payload.Marshal(v, rpc.BadResult)
	if err != nil {
		return err
	}
	return emit(text)
}

// newMethod describes a method by the types of its arguments and its result, nil for none.
func newMethod(args, result reflect.Type, streaming bool, bind func(string) (dispatch.Invocation, error)) Method {
	if !isArgs(args) {
		return Method{err: invalidUse("the arguments of a method must be %s, not %v", argsShape, args)}
	}
	arguments, extra, err := payload.Describe(args)
	if err != nil {
		return Method{err: err}
	}
	impl := &dispatch.Method{Bind: bind, Streaming: streaming, Arguments: arguments, Extra: extra, Result: "null"}
	if result != nil {
		if err := payload.CheckResult(result); err != nil {
			return Method{err: err}
		}
		impl.Result = payload.TypeWord(result)
	}
	return Method{impl: impl}
}

// argsShape says what isArgs accepts.
const argsShape = "a struct or a pointer to one, a map with string keys, or Raw"

func isArgs(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return true
	case reflect.Pointer:
		return t.Elem().Kind() == reflect.Struct
	case reflect.Map:
		return t.Key().Kind() == reflect.String
	default:
		return t == reflect.TypeFor[Raw]()
	}
}

// build checks an endpoint and returns it in the form in which it is dispatched to.
func (e Endpoint) build() (dispatch.Endpoint, error) {
	built := dispatch.Endpoint{
		Namespaces: append([]string{e.Namespace}, e.LegacyNamespaces...),
		Methods:    make(map[string]*dispatch.Method, len(e.Methods)),
		Fallback:   e.Fallback.impl,
	}
	if e.Fallback.err != nil {
		return built, fmt.Errorf("fallback of endpoint %q: %w", e.Namespace, e.Fallback.err)
	}
	for _, namespace := range built.Namespaces {
		if err := (Target{Namespace: namespace}).Validate(); err != nil {
			return built, err
		}
	}
	var err error
	if built.Version, err = rpc.VersionOrDefault(e.Version); err != nil {
		return built, invalidUse("endpoint %q: %v", e.Namespace, err)
	}
	for name, m := range e.Methods {
		switch {
		case m.err != nil:
			return built, fmt.Errorf("method %q: %w", name, m.err)
		case rpc.ValidateMethod(name) != nil:
			return built, invalidUse("endpoint %q: %v", e.Namespace, rpc.ValidateMethod(name))
		case m.impl == nil:
			return built, invalidUse("method %q is empty: make it with Func, Stream or Methods", name)
		}
		built.Methods[name] = m.impl
	}
	return built, e.buildHistory(&built)
}

// around returns a method whose invocations go through f.
func around(m *dispatch.Method, f func(context.Context, dispatch.Emit, dispatch.Invocation) error) *dispatch.Method {
	wrapped := *m
	wrapped.Around = func(invoke dispatch.Invocation) dispatch.Invocation {
		if m.Around != nil {
			invoke = m.Around(invoke)
		}
		return func(ctx context.Context, emit dispatch.Emit) error { return f(ctx, emit, invoke) }
	}
	return &wrapped
}

// invalidUse is the error for a program that uses the library wrongly.
func invalidUse(format string, args ...any) error {
	return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...), NotStarted: true}
}
