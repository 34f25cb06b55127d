package oslorpc

import (
	"context"
	"iter"

	"github.com/oslorpc/oslorpc/internal/endpoint"
)

// Method is a method of an endpoint. Create one with [Func] or [Stream]. [Methods] creates methods
// from the Go methods of a value. A Method is immutable. Each of its methods returns a copy with
// one more mark, so that marks can be chained in any order:
//
//	oslorpc.Func(getPort).Since("1.1").Deprecated("1.3").Expect(ErrNoPort)
//
// An invalid mark is an error of kind [Invalid] at the server's start.
type Method struct{ built endpoint.Method }

// Func creates a method from a function. A is a struct, or a pointer to one. The JSON names of its
// fields are the keyword arguments, matched exactly. A plain field is required; it may be null if
// it is a pointer, map, slice or interface. An [Opt] may be absent or null. An embedded [Extra]
// receives all other arguments. [NoArgs] is for a method without arguments. The tags omitempty and
// omitzero are refused, because they would leave out required arguments. A may also be a map with
// string keys, or [Raw]. R is any type that can be encoded as JSON. A type that cannot, such as one
// with a channel, is an error of kind [Invalid] at the server's start.
//
// The same strictness applies to structs within the arguments, also in lists and maps: an unknown
// or missing member is an error of kind [BadArguments] with its path. In these structs, a field
// with the tag omitempty or omitzero may be absent, too. A struct with its own JSON methods decides
// itself what it accepts.
//
// The function runs on many goroutines at once. Its ctx carries the request context. It ends when
// the caller of a call gives up, or when a stop of the server times out. An error that the function
// returns arrives as a [RemoteError]. So does a panic, and a runtime.Goexit, which ends only its
// goroutine.
func Func[A, R any](f func(ctx context.Context, args A) (R, error)) Method {
	return Method{endpoint.Func(f)}
}

// Stream creates a method from a function that yields its results one by one. The arguments are as
// with [Func]. The sequence ends after its first error. When the caller stops reading items, ctx
// ends, and the sequence is not continued.
func Stream[A, T any](f func(ctx context.Context, args A) iter.Seq2[T, error]) Method {
	return Method{endpoint.Stream(f)}
}

// Expose marks the method for [AllowExposed]. Other policies ignore the mark.
func (m Method) Expose() Method { return Method{m.built.Expose()} }

// Since marks the method with the version of its interface in which it appeared, as "major.minor".
// The mark is only for information: a message that requests the method at an earlier version is
// served. The version must not be later than the version of the endpoint.
func (m Method) Since(version string) Method { return Method{m.built.Since(version)} }

// Deprecated marks the method with the version of its interface in which it was deprecated, as
// "major.minor". Messages for the method are still served, at any version. [Transport.Info] shows
// the mark, and with [WithRequests] also which programs still call the method. The version must be
// between the version of [Method.Since] and the version of the endpoint, both inclusive.
func (m Method) Deprecated(version string) Method { return Method{m.built.Deprecated(version)} }

// Expect marks the method with errors that it returns in normal operation, such as "no such port".
// The server logs them at debug level, and other errors of methods at error level. Callers see no
// difference. An error is expected if errors.Is finds one of errs in it. To expect all errors of a
// type, pass [ErrorType]. A panic is never expected. Repeated calls of Expect add errors. There
// must be at least one, and none may be nil.
func (m Method) Expect(errs ...error) Method { return Method{m.built.Expect(errs...)} }

// ErrorType stands for all errors of a type among the errors of [Method.Expect]: all errors in
// which errors.As finds an E.
func ErrorType[E error]() error { return endpoint.ErrorType[E]() }
