package oslorpc

import (
	"context"
	"iter"

	"github.com/oslorpc/oslorpc/internal/endpoint"
)

// Method is a method of an endpoint: make one with [Func] or [Stream]. It does not change: each of
// its methods returns a Method with one more mark, so that marks can be chained in any order:
//
//	oslorpc.Func(getPort).Since("1.1").Deprecated("1.3").Expect(ErrNoPort)
//
// A wrong mark is an error of kind [Invalid] at the server's start. [Methods] makes methods of a Go
// value.
type Method struct{ built endpoint.Method }

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
// The function runs on any number of goroutines at once. Its ctx ends when the caller of a call
// gives up, or when a stop of the server runs out of time, and carries the request context. An
// error that the function returns arrives as a [RemoteError]. So does a panic, and a
// runtime.Goexit, which ends only its goroutine.
func Func[A, R any](f func(ctx context.Context, args A) (R, error)) Method {
	return Method{endpoint.Func(f)}
}

// Stream makes a method of a function that returns its results one by one. The arguments are as
// with [Func]. The sequence ends after its first error. When the caller wants no more items,
// ctx ends, and the sequence is not continued.
func Stream[A, T any](f func(ctx context.Context, args A) iter.Seq2[T, error]) Method {
	return Method{endpoint.Stream(f)}
}

// Expose marks the method for [AllowExposed]. With other policies the mark means nothing.
func (m Method) Expose() Method { return Method{m.built.Expose()} }

// Since marks the method with the version of its interface in which it appeared, as "major.minor".
// The mark informs readers of what the server offers, and decides nothing: a message that asks for
// the method at an earlier version is served. The version must not be later than the version of the
// endpoint.
func (m Method) Since(version string) Method { return Method{m.built.Since(version)} }

// Deprecated marks the method with the version of its interface in which it was deprecated, as
// "major.minor". Messages that ask for the method are served as before, at any version. What the
// server offers has the mark, and [WithRequests] tells which programs still ask for the method. The
// version must not be earlier than the version of [Method.Since], nor later than the version of the
// endpoint.
func (m Method) Deprecated(version string) Method { return Method{m.built.Deprecated(version)} }

// Expect marks the method with errors that it returns in the ordinary course of things, such as "no
// such port". The server logs them at debug level, where it logs other errors of methods at error
// level. Callers see no difference. An error is expected if errors.Is finds one of errs in it. To
// expect all errors of a type, give [ErrorType]. A panic is never expected. Another Expect adds to
// the errors. There must be at least one, and none may be nil.
func (m Method) Expect(errs ...error) Method { return Method{m.built.Expect(errs...)} }

// ErrorType stands for all errors of a type among the errors of [Method.Expect]: all in which
// errors.As finds an E.
func ErrorType[E error]() error { return endpoint.ErrorType[E]() }
