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

// MethodError is a failure of a method itself, as opposed to one of ours.
type MethodError struct {
	Err error
	// Stack is the stack of a panic or a runtime.Goexit, nil for an error that was returned.
	Stack []string
}

// Error returns the method's error.
func (e *MethodError) Error() string { return e.Err.Error() }

// Unwrap returns the method's error.
func (e *MethodError) Unwrap() error { return e.Err }

// Failure is the cause of an rpc.Error of kind Remote at the server: what the sender is to hear of
// the method's error, and the error itself, of which a carrier of a typed service may tell more.
type Failure struct {
	Remote *rpc.RemoteError
	Own    error
}

// Error returns what the sender hears.
func (f *Failure) Error() string { return f.Remote.Error() }

// Unwrap returns what the sender hears, and hides the error itself: it must not be taken for ours.
func (f *Failure) Unwrap() error { return f.Remote }

// DescribeFunc returns the name that the program registered for an error, and its fields as JSON
// text. The name is empty if there is none.
type DescribeFunc func(error) (name, data string)

// remote returns the failure as its caller sees it: as a remote error, with this server as a hop. A
// failure from another server keeps its type, message, data and stack, unless the method made an
// error with a registered name of it. An error that panics when it is asked for its text, such as a
// nil pointer in an error interface, fails as if the method had panicked.
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

// is reports whether a method returned a certain error.
func (e *MethodError) is(target error) bool {
	return e.matches(func(err error) bool { return errors.Is(err, target) })
}

// matches asks about a method's error. Like remote, it may meet one that panics.
func (e *MethodError) matches(accepts func(error) bool) (matches bool) {
	defer func() { _ = recover() }()
	return accepts(e.Err)
}

// protect performs a message; a panic becomes its error. Types that decode themselves may panic,
// too.
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

// panicked returns the failure of what panicked with p. It must be called while that is recovered
// from, for the stack.
func panicked(p any) *MethodError { return &MethodError{Err: panicError{p}, Stack: stack()} }

type panicError struct{ value any }

func (p panicError) Error() string { return fmt.Sprint(p.value) }

// exitedType is the type of errExited for other programs.
const exitedType = "runtime.Goexit"

// errExited is the failure of a method that ended its goroutine.
var errExited error = exitedError{}

type exitedError struct{}

func (exitedError) Error() string {
	return "the method ended its goroutine (runtime.Goexit), as a failed assertion of a test does, and gave no result"
}

// stack returns the lines of the current stack from the panic, or the end of the goroutine, on.
func stack() []string {
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	for i, line := range lines {
		if (strings.HasPrefix(line, "panic(") || strings.HasPrefix(line, "runtime.Goexit(")) && i+2 <= len(lines) {
			return lines[i+2:]
		}
	}
	return lines
}

// typeName names the type of an error for other programs: package and type of the outermost error
// that is more than a wrapper with text, such as "fs.PathError", of several that are joined the
// first; "error" if there is none; the kind for one of ours, such as "oslorpc.Timeout".
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

// isWrapper reports whether a type says nothing about an error: types that only add text or a stack
// are the unexported ones of packages named errors or fmt, the standard library's and others'.
func isWrapper(name string) bool {
	pkg, name, _ := strings.Cut(name, ".")
	first, _ := utf8.DecodeRuneInString(name)
	return (pkg == "errors" || pkg == "fmt") && !unicode.IsUpper(first)
}
