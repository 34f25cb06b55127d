package dispatch

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// MethodError is a failure of a method itself, in contrast to a failure of the library.
type MethodError struct {
	Err error
	// Stack is the stack of a panic or a runtime.Goexit, nil for an error that was returned.
	Stack []string
}

// Error returns the method's error.
func (e *MethodError) Error() string { return e.Err.Error() }

// Unwrap returns the method's error.
func (e *MethodError) Unwrap() error { return e.Err }

// Failure is the cause of an rpc.Error of kind Remote at the server. Remote is the error for the
// sender. Own is the error that the method returned; a carrier of a typed service may send more of
// it, such as the details of a gRPC status.
type Failure struct {
	Remote *rpc.RemoteError
	Own    error
}

// Error returns the text that the sender gets.
func (f *Failure) Error() string { return f.Remote.Error() }

// Unwrap returns the remote error. It hides the method's own error, which must not be taken for an
// error of the library.
func (f *Failure) Unwrap() error { return f.Remote }

// DescribeFunc returns the name under which the program registered the type of an error, and the
// fields of the error as JSON text. The name is empty if the type is not registered.
type DescribeFunc func(error) (name, data string)

// remote returns the failure as a remote error for the caller, with this server as a hop. A failure
// from another server keeps its type, message, data and stack, unless the method turned it into an
// error with a registered name. Some errors panic in their Error method, such as a nil pointer in
// an error interface; then the message fails as if the method had panicked.
func (e *MethodError) remote(server string, describe DescribeFunc) (cause *rpc.RemoteError) {
	defer func() {
		if p := recover(); p != nil {
			cause = panicked(p).remote(server, nil)
		}
	}()
	cause = &rpc.RemoteError{Message: e.Err.Error(), Stack: e.Stack, Hops: []string{server}}
	if describe != nil {
		if cause.Type, cause.Data = describe(e.Err); cause.Type != "" {
			return cause
		}
	}
	cause.Type = typeName(e.Err)
	if further, ok := errors.AsType[*rpc.RemoteError](e.Err); ok {
		cause.Type, cause.Message, cause.Stack, cause.Data = further.Type, further.Message, further.Stack, further.Data
		cause.Hops = append(append([]string{}, further.Hops...), server)
	}
	return cause
}

// is reports whether the method's error is target, as [errors.Is] does.
func (e *MethodError) is(target error) bool {
	return e.matches(func(err error) bool { return errors.Is(err, target) })
}

// matches reports whether accepts returns true for the method's error. It returns false if accepts
// panics; see remote.
func (e *MethodError) matches(accepts func(error) bool) (matches bool) {
	defer func() { _ = recover() }()
	return accepts(e.Err)
}

// protect runs a message within the interceptors, and turns a panic into an error. Not only the
// method may panic, but also types with their own decoding.
func protect(e *execution) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if len(e.dispatcher.runs) == 0 {
		return e.perform(e.ctx)
	}
	return e.intercepted()
}

// panicked returns the failure of a panic with value p. Call it in the deferred function that
// recovers the panic: it records the stack.
func panicked(p any) *MethodError { return &MethodError{Err: panicError{p}, Stack: stack()} }

type panicError struct{ value any }

func (p panicError) Error() string { return fmt.Sprint(p.value) }

// exitedType is the type name of errExited for other programs.
const exitedType = "runtime.Goexit"

// errExited is the failure of a method that ended its goroutine.
var errExited error = exitedError{}

type exitedError struct{}

func (exitedError) Error() string {
	return "the method ended its goroutine (runtime.Goexit), as a failed assertion of a test does, and gave no result"
}

// stack returns the lines of the current stack, starting at the function that panicked or called
// runtime.Goexit.
func stack() []string {
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	for i, line := range lines {
		if (strings.HasPrefix(line, "panic(") || strings.HasPrefix(line, "runtime.Goexit(")) && i+2 <= len(lines) {
			return lines[i+2:]
		}
	}
	return lines
}

// typeName returns the type name of an error for other programs. It is the package and type of the
// outermost error that is more than a wrapper with text, such as "fs.PathError"; for joined errors,
// the first of them. It is "error" if there is no such type. For an error of the library it is the
// kind, such as "oslorpc.Timeout".
func typeName(err error) string {
	if name := innerName(err); name != "" {
		return name
	}
	return "error"
}

func innerName(err error) string {
	switch e := err.(type) { //nolint:errorlint // It unwraps.
	case nil:
		return ""
	case panicError:
		return "panic"
	case exitedError:
		return exitedType
	case *rpc.Error:
		return "oslorpc." + e.Kind.Name()
	}
	if name := strings.TrimPrefix(reflect.TypeOf(err).String(), "*"); !isWrapper(name) {
		return name
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			if name := innerName(one); name != "" {
				return name
			}
		}
		return ""
	}
	return innerName(errors.Unwrap(err))
}

// isWrapper reports whether a type name says nothing about an error. Types that only add text or a
// stack are the unexported types of packages named errors or fmt, in the standard library and
// elsewhere.
func isWrapper(name string) bool {
	pkg, name, _ := strings.Cut(name, ".")
	first, _ := utf8.DecodeRuneInString(name)
	return (pkg == "errors" || pkg == "fmt") && !unicode.IsUpper(first)
}
