package endpoint

import (
	"context"
	"iter"
	"reflect"
	"slices"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Method is a method of an endpoint, or an error in its definition. It is immutable: its methods
// return a changed copy. The zero value is no method.
type Method struct {
	impl *dispatch.Method
	err  error
}

// Func makes a method from a function. Building the endpoint reports an error if the types of the
// arguments or the result are not suitable.
func Func[A, R any](f func(ctx context.Context, args A) (R, error)) Method {
	if f == nil {
		return Method{err: failure.Invalid("Func was given nil")}
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
			return emitValue(ctx, emit, result)
		}, nil
	})
}

// Stream makes a streaming method from a function that returns an iterator over the items. An error
// ends the stream.
func Stream[A, T any](f func(ctx context.Context, args A) iter.Seq2[T, error]) Method {
	if f == nil {
		return Method{err: failure.Invalid("Stream was given nil")}
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
				if err := emitValue(ctx, emit, item); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// emitValue encodes and emits one item. If the item cannot be encoded as JSON, the error is of kind
// [rpc.BadResult], not a failure of the method. Before it encodes a large item, it waits until the
// caller may have more bytes of answers outstanding.
func emitValue(ctx context.Context, emit dispatch.Emit, v any) error {
	weight := payload.Weigh(v)
	if weight > 0 {
		if err := dispatch.Reserve(ctx, weight); err != nil {
			return err
		}
	}
	text, err := payload.MarshalWeighed(v, weight, rpc.BadResult)
	if err != nil {
		return err
	}
	return emit(text)
}

// newMethod makes a method and describes it by the types of its arguments and its result. Result is
// nil for a method without a result.
func newMethod(args, result reflect.Type, streaming bool, bind func(string) (dispatch.Invocation, error)) Method {
	if !isArgs(args) {
		return Method{err: failure.Invalid("the arguments of a method must be %s, not %v", argsShape, args)}
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

// argsShape describes the types that isArgs accepts.
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
		return t == reflect.TypeFor[payload.Raw]()
	}
}

// Expose marks a method for the policy [dispatch.AllowExposed].
func (m Method) Expose() Method {
	return m.with(func(impl *dispatch.Method) { impl.Exposed = true })
}

// Since marks a method with the version in which it appeared.
func (m Method) Since(version string) Method {
	v, err := givenVersion("Since", version)
	if err != nil {
		return m.broken(err)
	}
	return m.with(func(impl *dispatch.Method) { impl.Since = v })
}

// Deprecated marks a method with the version in which it was deprecated.
func (m Method) Deprecated(version string) Method {
	v, err := givenVersion("Deprecated", version)
	if err != nil {
		return m.broken(err)
	}
	return m.with(func(impl *dispatch.Method) { impl.Deprecated = v })
}

// Expect declares errors that a method returns in normal operation. They are logged only at the
// level Debug.
func (m Method) Expect(errs ...error) Method {
	if len(errs) == 0 || slices.Contains(errs, nil) {
		return m.broken(failure.Invalid("Expect was given no error, or nil: name the errors that are expected"))
	}
	expected := make([]func(error) bool, len(errs))
	for i, target := range errs {
		expected[i] = matcher(target)
	}
	return m.with(func(impl *dispatch.Method) { impl.Expected = slices.Concat(impl.Expected, expected) })
}

// with returns the method with a change. An empty or broken method stays the same; the start of the
// server reports it.
func (m Method) with(change func(*dispatch.Method)) Method {
	if m.impl == nil {
		return m
	}
	impl := *m.impl
	change(&impl)
	return Method{impl: &impl}
}

// broken returns a method with an error, for Build to report. If the method has an error already,
// that one stays.
func (m Method) broken(err error) Method {
	if m.err != nil {
		return m
	}
	return Method{err: err}
}
