package oslorpc

import "github.com/oslorpc/oslorpc/internal/endpoint"

// StructMethods are the methods of a Go value for an [Endpoint], as [Methods] makes them. It is
// immutable. Each of its methods returns a changed copy, so that calls can be chained in any order.
// Their arguments are names of Go methods:
//
//	oslorpc.Methods(Ports{}).Omit("Close").Since("1.1", "Get", "List").Expect("Get", ErrNoPort)
//
// A mistake is an error of kind [Invalid] at the server's start: an empty list of names, a Go
// method that does not exist or does not have the shape of an RPC, or an invalid mark.
type StructMethods struct{ built endpoint.Struct }

// Methods returns the exported methods of v that have the shape of an RPC. In messages, their names
// are in snake case: GetNetworkInfo is get_network_info. MyRemoteMethod2 is my_remote_method2,
// unless [StructMethods.Rename] or [StructMethods.DigitsAsWords] says otherwise. The shapes are the
// shapes of [Func] and [Stream], with or without arguments and result:
//
//	func (v V) M(ctx context.Context, args A) (R, error)
//	func (v V) M(ctx context.Context, args A) error
//	func (v V) M(ctx context.Context, args A) iter.Seq2[T, error]
//
// A method that takes a context but has another shape causes an error at the server's start. The
// error names the method. To avoid the error, leave the method out with [StructMethods.Omit].
// Methods that v has from an embedded type of another package are not checked. Methods without a
// context are left out. It is also an error if v has no method of the shape, or two methods with
// the same name in messages. Reflection makes a call about a microsecond slower than with [Func].
func Methods(v any) StructMethods { return StructMethods{endpoint.Of(v)} }

// Rename gives a Go method another name in messages, in place of its name in snake case.
func (s StructMethods) Rename(method, name string) StructMethods {
	return StructMethods{s.built.Rename(method, name)}
}

// DigitsAsWords makes each run of digits in a Go name a word of its own: MyRemoteMethod2 is
// my_remote_method_2, and not my_remote_method2. [StructMethods.Rename] has precedence.
func (s StructMethods) DigitsAsWords() StructMethods {
	return StructMethods{s.built.DigitsAsWords()}
}

// Omit leaves Go methods out, whatever their shape and their marks. It is for helpers that are
// exported for other purposes.
func (s StructMethods) Omit(methods ...string) StructMethods {
	return StructMethods{s.built.Omit(methods...)}
}

// Expose marks Go methods as [Method.Expose] does.
func (s StructMethods) Expose(methods ...string) StructMethods {
	return StructMethods{s.built.Expose(methods...)}
}

// Since marks Go methods as [Method.Since] does.
func (s StructMethods) Since(version string, methods ...string) StructMethods {
	return StructMethods{s.built.Since(version, methods...)}
}

// Deprecated marks Go methods as [Method.Deprecated] does.
func (s StructMethods) Deprecated(version string, methods ...string) StructMethods {
	return StructMethods{s.built.Deprecated(version, methods...)}
}

// Expect marks a Go method as [Method.Expect] does.
func (s StructMethods) Expect(method string, errs ...error) StructMethods {
	return StructMethods{s.built.Expect(method, errs...)}
}
